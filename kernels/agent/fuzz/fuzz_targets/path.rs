//! Whatever a client calls a path, what comes out is absolute, clean, short, and stays as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soulbox_agent_fuzz::filesystem::path::resolve;
use soulbox_agent_fuzz::process::user::User;
use std::path::Component;

fuzz_target!(|input: (&str, Option<&str>)| {
    let user = User {
        name: "user".into(),
        uid: 1000,
        gid: 1000,
        groups: vec![1000],
        home: "/home/user".into(),
        shell: String::new(),
    };
    let (path, workdir) = input;
    let Ok(resolved) = resolve(path, &user, workdir) else {
        return;
    };
    assert!(resolved.is_absolute() && resolved.as_os_str().len() < 4096);
    assert!(!resolved.as_os_str().as_encoded_bytes().contains(&0));
    let mut parts = resolved.components();
    assert_eq!(parts.next(), Some(Component::RootDir));
    assert!(parts.all(|part| matches!(part, Component::Normal(_))));
    let text = resolved.to_str().expect("it was made of text");
    assert_eq!(resolve(text, &user, None).as_ref(), Ok(&resolved));
});
