//! Stories that every tier must tell the same way. A tier's own test program includes this
//! folder, adds its own stories, and is at the same time the guest: a copy of it is the
//! first process of every cell.

#[path = "forbidden.rs"]
pub mod forbidden;
#[path = "guest.rs"]
pub mod guest;
#[path = "lab.rs"]
pub mod lab;
#[path = "stories.rs"]
pub mod stories;

use lab::{Lab, MakeTier};
use soulbox_runtime::CellId;
use std::{future::Future, path::Path, pin::Pin, time::Instant};

/// A story: its name and its text.
pub type Story = (
    &'static str,
    fn(&Lab) -> Pin<Box<dyn Future<Output = ()> + '_>>,
);

/// Names an async function as a story.
#[macro_export]
macro_rules! story {
    ($function:path) => {
        (stringify!($function), |lab| Box::pin($function(lab)))
    };
}

/// What every test program does first: be the guest when started as one.
pub fn be_guest_when_asked() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("guest") => guest::run(),
        Some("obey") => guest::obey_once(&arguments.next().unwrap_or_default()),
        Some("sleep") => loop {
            std::thread::park();
        },
        _ => {}
    }
}

/// Tells the stories one after the other (they count processes and loop devices of the
/// whole machine). An argument picks those whose name contains it.
pub fn tell(stories: &[Story], make: MakeTier) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: these tests start sandboxes and need root");
        return;
    }
    soulbox_host::node::prepare().expect("root can prepare itself");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [word, dir, node] = arguments.as_slice()
        && word == "node"
    {
        let node = CellId::new(node.clone()).expect("an id");
        let lab = Lab::shared(Path::new(dir), &node, make);
        return runtime.block_on(stories::be_a_node(&lab));
    }
    let wanted: Vec<_> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    for (name, story) in stories {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        let began = Instant::now();
        println!("story {name} ...");
        runtime.block_on(story(&Lab::new(make)));
        println!("story {name} ... ok ({} ms)", began.elapsed().as_millis());
    }
}
