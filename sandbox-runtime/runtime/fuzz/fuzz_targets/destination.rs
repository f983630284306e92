//! Whatever a program calls a destination, what is dialled has one spelling, which means itself.
//!
//! Run it with `cargo fuzz run destination` in `sandbox-runtime/runtime`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soulbox_runtime::network::{Destination, Host};
use std::net::IpAddr;

fuzz_target!(|text: &str| {
    let Ok(destination) = Destination::parse(text) else {
        return;
    };
    assert_ne!(destination.port, 0);
    let host = match &destination.host {
        Host::Address(IpAddr::V4(address)) => address.to_string(),
        Host::Address(IpAddr::V6(address)) => {
            assert!(address.to_ipv4_mapped().is_none(), "it is an IPv4 address");
            format!("[{address}]")
        }
        Host::Name(name) => {
            let last = name.as_str().rsplit('.').next().unwrap_or_default();
            let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
                || last
                    .strip_prefix("0x")
                    .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(!is_number, "some resolver would take it for an address");
            name.as_str().to_owned()
        }
    };
    let again = Destination::parse(&format!("{host}:{}", destination.port));
    assert_eq!(again.as_ref(), Ok(&destination));
});
