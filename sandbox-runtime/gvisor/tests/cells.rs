//! The gVisor tier through its trait, on a real `runsc`.

#[path = "../../host/tests/conformance/lib.rs"]
mod conformance;

use soulbox_gvisor::{Gvisor, GvisorOptions};

fn main() {
    conformance::be_guest_when_asked();
    conformance::tell(&conformance::stories::all(), |dir, node| {
        Box::new(Gvisor::new(GvisorOptions {
            runsc: None,
            platform: None,
            state_dir: dir.to_owned(),
            node: node.clone(),
        }))
    });
}
