//! What a newcomer needs next, on standard output. The first key appears here once and never
//! again.

use super::App;
use crate::{auth::Secret, launcher::authority_file};
use std::net::SocketAddr;

/// Says where and how to reach this server.
pub fn say(app: &App, plain: SocketAddr, tls_port: Option<u16>, first_key: Option<&Secret>) {
    let plain = reachable(plain);
    let first_key = first_key.map(Secret::expose);
    if let Some(key) = first_key {
        println!("API key: {key}");
        println!("  It is shown this once; `soulbox key create` makes more.");
    }
    println!("soulbox is ready on http://{plain}");
    let domain = app.domain.as_ref().filter(|_| tls_port.is_some());
    if let Some(domain) = domain {
        println!(
            "and on https://api.{domain} (HTTPS on port {})",
            tls_port.unwrap_or_default()
        );
    }
    println!("For your own program:");
    match domain {
        Some(domain) => {
            println!("  export E2B_DOMAIN={domain}");
            if let Some(file) = authority_file(&app.settings) {
                let file = file.display();
                println!("  export SSL_CERT_FILE={file} NODE_EXTRA_CA_CERTS={file}");
            }
        }
        None => println!("  export E2B_API_URL=http://{plain} E2B_SANDBOX_URL=http://{plain}"),
    }
    println!("  export E2B_API_KEY={}", first_key.unwrap_or("<your key>"));
    if let Some(domain) = domain {
        let name = domain.split(':').next().unwrap_or_default();
        println!("The names {name} and *.{name} must lead to this machine.");
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        _ => address,
    }
}
