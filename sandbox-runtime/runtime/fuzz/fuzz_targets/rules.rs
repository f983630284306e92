//! Whatever an owner writes as rules, they survive being sent to the node, and what is allowed
//! beats what is denied.
//!
//! Run it with `cargo fuzz run rules` in `sandbox-runtime/runtime`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soulbox_runtime::network::{ALL_TRAFFIC, Network, parse_block};
use std::net::IpAddr;

fuzz_target!(|input: (Vec<&str>, Vec<&str>, IpAddr)| {
    let (allow, mut deny, address) = input;
    let address = address.to_canonical();
    let hits = |rules: &[&str]| {
        let block = |text: &&str| parse_block(text).is_some_and(|net| net.contains(&address));
        rules.iter().any(block)
    };
    for everything in [false, true] {
        if everything {
            deny.push(ALL_TRAFFIC);
        }
        let Ok(network) = Network::parse(&allow, &deny) else {
            continue;
        };
        let text = serde_json::to_string(&network).expect("rules can be written");
        let read: Network = serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(read, network);
        let may = network.allows_address(address);
        if hits(&allow) {
            assert!(may, "what is allowed beats what is denied");
        } else if everything || hits(&deny) {
            assert!(!may, "what is denied and not allowed is closed");
        }
    }
});
