//! Makes an image out of a recipe, its parents first.
//!
//! A build happens in `<name>-<hash>.partial` and appears by a rename, so there is never half an
//! image. The directory keeps a list of its finished steps; a build that was interrupted goes on
//! with the step it was in. Mounts are made in a mount namespace of the building thread, and
//! commands run in a process namespace that dies with it: whatever ends a build leaves nothing
//! mounted and nothing running.

mod apt;
mod bootstrap;
mod commands;
mod finish;
mod host;
mod ledger;
mod libraries;
mod rootfs;
mod steps;
mod workshop;

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Instant,
};

use soulbox_runtime::TemplateName;

use crate::{
    error::{BuildError, RecipeError},
    hash::ImageHash,
    progress::{Event, Progress},
    recipe::{Origin, Recipe, recipes},
    store::{Image, ImageStore, directory_of},
};
use workshop::Workshop;

/// Events that may wait for a slow terminal before the build waits with them.
const WAITING_EVENTS: usize = 64;

/// What the person who builds may choose.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The Debian mirror to bootstrap from, and to leave in the image's sources; without one,
    /// mmdebstrap's own default.
    pub mirror: Option<String>,
}

/// Builds a template, after its parents, unless the very same build is there; makes it current.
///
/// Blocks for minutes. Needs root. `progress` is told of everything, in this thread.
pub fn build(
    store: &ImageStore,
    recipe: &Recipe,
    options: &BuildOptions,
    progress: &mut dyn Progress,
) -> Result<Image, BuildError> {
    let chain = with_parents(recipe, &recipes(store.data_dir())?)?;
    if let Some(image) = all_present(store, &chain, progress)? {
        return Ok(image);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(BuildError::NotRoot);
    }
    check_mirror(options)?;
    fs::create_dir_all(store.images()).map_err(BuildError::io("create", store.images()))?;
    let _lock = lock(store.images())?;

    let (events, reported) = mpsc::sync_channel(WAITING_EVENTS);
    thread::scope(|scope| {
        // A mount namespace belongs to a thread; this one is gone when the build is.
        let builder = scope.spawn(move || build_chain(store, &chain, options, &Reporter(events)));
        for event in reported {
            progress.report(&event);
        }
        builder.join().expect("the builder does not panic")
    })
}

/// Sends events from the building thread to the one that shows them.
#[derive(Debug)]
pub(crate) struct Reporter(mpsc::SyncSender<Event>);

impl Reporter {
    pub(crate) fn send(&self, event: Event) {
        // The receiver lives as long as the build.
        let _ = self.0.send(event);
    }

    pub(crate) fn advanced(&self, percent: Option<u8>, doing: impl Into<String>) {
        self.send(Event::Advanced {
            percent,
            doing: doing.into(),
        });
    }
}

fn with_parents(recipe: &Recipe, known: &[Recipe]) -> Result<Vec<Recipe>, BuildError> {
    let mut chain = vec![recipe.clone()];
    while let Some(Recipe {
        name,
        origin: Origin::Parent(parent),
        ..
    }) = chain.first()
    {
        let found = known
            .iter()
            .find(|recipe| recipe.name == *parent && chain.iter().all(|c| c.name != recipe.name));
        let found = found.cloned().ok_or_else(|| RecipeError::Parent {
            name: name.clone(),
            parent: parent.clone(),
        })?;
        chain.insert(0, found);
    }
    Ok(chain)
}

fn hashes(chain: &[Recipe]) -> Vec<ImageHash> {
    let mut hashes: Vec<ImageHash> = Vec::with_capacity(chain.len());
    for recipe in chain {
        hashes.push(ImageHash::of(recipe, hashes.last()));
    }
    hashes
}

/// The wanted image, when nothing needs to be built for it and it is the current one.
fn all_present(
    store: &ImageStore,
    chain: &[Recipe],
    progress: &mut dyn Progress,
) -> Result<Option<Image>, BuildError> {
    let mut last = None;
    let mut events = Vec::with_capacity(chain.len());
    for (recipe, hash) in chain.iter().zip(hashes(chain)) {
        match store.current(&recipe.name) {
            Ok(Some(image)) if image.hash == hash => last = Some(image),
            // A damaged store is mended by the build.
            Ok(_) | Err(_) => return Ok(None),
        }
        events.push(Event::Present {
            name: recipe.name.clone(),
            hash,
        });
    }
    events.iter().for_each(|event| progress.report(event));
    Ok(last)
}

/// Held until the build ends, however it ends: the kernel lets go of it.
fn lock(images: &Path) -> Result<File, BuildError> {
    let path = images.join(".lock");
    let file = File::create(&path).map_err(BuildError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BuildError::Busy {
            directory: images.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(BuildError::io("lock", path)(source)),
    }
}

fn check_mirror(options: &BuildOptions) -> Result<(), BuildError> {
    let Some(mirror) = &options.mirror else {
        return Ok(());
    };
    if !["http://", "https://", "file:///"]
        .iter()
        .any(|scheme| mirror.starts_with(scheme))
    {
        return Err(BuildError::Mirror("not an http, https or file address"));
    }
    if mirror.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(BuildError::Mirror("an address has no blanks"));
    }
    if mirror.contains('@') {
        return Err(BuildError::Mirror(
            "it would be written into the image with its password",
        ));
    }
    Ok(())
}

fn build_chain(
    store: &ImageStore,
    chain: &[Recipe],
    options: &BuildOptions,
    reporter: &Reporter,
) -> Result<Image, BuildError> {
    workshop::leave_the_hosts_mounts()?;
    let mut parent: Option<(String, Image)> = None;
    for (recipe, hash) in chain.iter().zip(hashes(chain)) {
        let directory = directory_of(&recipe.name, &hash);
        let image = match store.read(&directory) {
            Ok(Some(image)) => {
                reporter.send(Event::Present {
                    name: recipe.name.clone(),
                    hash,
                });
                image
            }
            Ok(None) | Err(_) => {
                let parents = parent
                    .as_ref()
                    .map(|(_, image)| image.layers())
                    .unwrap_or_default();
                let job = Job {
                    store,
                    recipe,
                    hash,
                    directory: &directory,
                    parents,
                    options,
                    reporter,
                };
                job.run()?
            }
        };
        let pointer = store.images().join(recipe.name.as_str());
        store
            .set_current(&recipe.name, &directory)
            .map_err(BuildError::io("make current", pointer))?;
        parent = Some((directory, image));
    }
    Ok(parent.expect("a chain has the recipe itself").1)
}

/// The build of one template.
struct Job<'a> {
    store: &'a ImageStore,
    recipe: &'a Recipe,
    hash: ImageHash,
    directory: &'a str,
    /// Layers of the parent, the lowest first.
    parents: Vec<PathBuf>,
    options: &'a BuildOptions,
    reporter: &'a Reporter,
}

impl Job<'_> {
    fn run(self) -> Result<Image, BuildError> {
        let started = Instant::now();
        let partial = self
            .store
            .images()
            .join(format!("{}.partial", self.directory));
        let log = self.store.images().join(format!("{}.log", self.directory));
        let done = self.store.images().join(self.directory);
        // A directory of this name without a readable description is what a power cut has left.
        commands::remove_tree(&done)?;
        fs::create_dir_all(&partial).map_err(BuildError::io("create", &partial))?;

        let workshop = Workshop::new(self.store.cache(), &partial, &self.parents, &log)?;
        steps::run_all(
            self.recipe,
            self.options,
            &workshop,
            self.reporter,
            self.hash.clone(),
        )?;
        let size_bytes = finish::finish(
            &workshop,
            self.store,
            self.recipe,
            self.hash,
            self.directory,
        )?;
        drop(workshop);

        fs::rename(&partial, &done).map_err(BuildError::io("rename", &partial))?;
        let name: TemplateName = self.recipe.name.clone();
        self.reporter.send(Event::Finished {
            name,
            size_bytes,
            took: started.elapsed(),
        });
        let image = self.store.read(self.directory)?;
        Ok(image.expect("the build was just renamed into place"))
    }
}
