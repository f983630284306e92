//! No query is accepted that the holder of the token did not sign, and none makes a check panic.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use soulbox_gateway_fuzz::auth::Secret;
use soulbox_gateway_fuzz::dataplane::signature::{Claim, Fault};

fuzz_target!(|query: &str| {
    // Nobody can find a signature for this token, whose text the fuzzer never sees.
    let token = Secret::new("a token of 160 bits that is nowhere in the input".into());
    let claim = Claim::parse(query);
    for method in [Method::GET, Method::POST] {
        assert!(!claim.is_signed_with(&method, &token));
        let fault = claim.check(&method, &token, 0).expect_err("nobody has signed it");
        assert!(matches!(fault, Fault::Missing | Fault::Wrong));
    }
});
