//! The images that are on this machine, and which build of a template is the current one.
//!
//! `images/<name>-<hash>/` holds one build: `layer/` with its files and `image.json` that describes
//! it. `images/<name>.current` names the build that new sandboxes get. Both appear by a rename at
//! the end of a build, so a reader never sees half of one, and needs no lock.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soulbox_runtime::TemplateName;

use crate::{error::StoreError, hash::ImageHash, recipe::Defaults};

/// Directory of images in the data directory.
const IMAGES: &str = "images";
/// Directory of downloads in the data directory, kept between builds.
const CACHE: &str = "cache";
/// The description of a build, in its directory.
const DESCRIPTION: &str = "image.json";
/// The files of a build, in its directory.
const LAYER: &str = "layer";

/// The images of one data directory.
#[derive(Debug, Clone)]
pub struct ImageStore {
    data_dir: PathBuf,
    images: PathBuf,
    cache: PathBuf,
}

/// One finished build of a template.
#[derive(Debug, Clone)]
pub struct Image {
    /// Which template this is a build of.
    pub name: TemplateName,
    /// What it was built from.
    pub hash: ImageHash,
    /// Size of its own layer on disk, without the parents', in bytes.
    pub size_bytes: u64,
    /// When the build ended.
    pub built_at: Timestamp,
    /// Whether code interpreters can run in it, so that a kernel is to be ready in each sandbox.
    pub interpreter: bool,
    /// The kernels that run in it: names of directories under `kernels/`.
    pub kernels: Vec<String>,
    /// What its sandboxes get when their creator asks for nothing else.
    pub defaults: Defaults,
    layers: Vec<PathBuf>,
}

impl Image {
    /// The directories that make up the root file system, the lowest first.
    pub fn layers(&self) -> Vec<PathBuf> {
        self.layers.clone()
    }
}

/// `image.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    pub name: TemplateName,
    pub hash: ImageHash,
    /// Names of the directories of builds, the lowest first, this one last.
    pub layers: Vec<String>,
    pub size_bytes: u64,
    pub built_at: Timestamp,
    pub interpreter: bool,
    /// Absent in builds of before there were several.
    #[serde(default)]
    pub kernels: Option<Vec<String>>,
    pub defaults: Defaults,
}

impl ImageStore {
    /// The store of a data directory. Nothing needs to be there yet.
    pub fn open(data_dir: &Path) -> Self {
        // Layers are mounted by processes that may have another working directory.
        let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        Self {
            images: data_dir.join(IMAGES),
            cache: data_dir.join(CACHE),
            data_dir,
        }
    }

    /// The build that new sandboxes of a template get; `None` when it was never built.
    pub fn current(&self, name: &TemplateName) -> Result<Option<Image>, StoreError> {
        let path = self.current_file(name);
        let directory = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        if !is_build_directory(&directory, name) {
            return Err(StoreError::Damaged {
                path,
                problem: "it names no build of its template".into(),
            });
        }
        self.read(&directory)
    }

    /// The current build of every template, sorted by name.
    pub fn list(&self) -> Result<Vec<Image>, StoreError> {
        let unreadable = |source| StoreError::Read {
            path: self.images.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.images) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(unreadable(source)),
        };
        let mut images = Vec::new();
        for entry in entries {
            let file = entry.map_err(unreadable)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".current"));
            let Some(name) = name.and_then(|name| TemplateName::new(name).ok()) else {
                continue;
            };
            images.extend(self.current(&name)?);
        }
        images.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(images)
    }

    /// Reads one build; `None` when its directory is not there.
    pub(crate) fn read(&self, directory: &str) -> Result<Option<Image>, StoreError> {
        let path = self.images.join(directory).join(DESCRIPTION);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        let description: Description =
            serde_json::from_str(&text).map_err(|problem| StoreError::Damaged {
                path: path.clone(),
                problem: problem.to_string(),
            })?;
        let mut layers = Vec::with_capacity(description.layers.len());
        for layer in &description.layers {
            let files = self.images.join(layer).join(LAYER);
            if layer.contains('/') || !files.is_dir() {
                return Err(StoreError::Damaged {
                    path,
                    problem: format!("its layer {layer} is not there"),
                });
            }
            layers.push(files);
        }
        Ok(Some(Image {
            name: description.name,
            hash: description.hash,
            size_bytes: description.size_bytes,
            built_at: description.built_at,
            interpreter: description.interpreter,
            kernels: description.kernels.unwrap_or_else(|| {
                let python = description.interpreter.then(|| "python".to_owned());
                python.into_iter().collect()
            }),
            defaults: description.defaults,
            layers,
        }))
    }

    /// Writes the description of a build into its (still unfinished) directory.
    pub(crate) fn describe(&self, unfinished: &Path, description: &Description) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(description)?;
        text.push('\n');
        fs::write(unfinished.join(DESCRIPTION), text)
    }

    /// Makes a build the current one, at one instant.
    pub(crate) fn set_current(&self, name: &TemplateName, directory: &str) -> io::Result<()> {
        let next = self.images.join(format!("{name}.current.new"));
        fs::write(&next, format!("{directory}\n"))?;
        fs::rename(&next, self.current_file(name))
    }

    /// The data directory, where the recipes are too.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The directory of images.
    pub(crate) fn images(&self) -> &Path {
        &self.images
    }

    /// The directory of downloads that are kept between builds.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    fn current_file(&self, name: &TemplateName) -> PathBuf {
        self.images.join(format!("{name}.current"))
    }
}

/// The name of a build's directory.
pub(crate) fn directory_of(name: &TemplateName, hash: &ImageHash) -> String {
    format!("{name}-{hash}")
}

/// The directory of the files of a build that lies in `directory`.
pub(crate) fn layer_of(directory: &Path) -> PathBuf {
    directory.join(LAYER)
}

fn is_build_directory(directory: &str, name: &TemplateName) -> bool {
    directory
        .strip_prefix(name.as_str())
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|hash| !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> TemplateName {
        TemplateName::new("base").unwrap()
    }

    #[test]
    fn a_machine_without_images_has_an_empty_store() {
        let data = tempfile::tempdir().unwrap();
        let store = ImageStore::open(data.path());
        assert!(store.current(&name()).unwrap().is_none());
        assert!(store.list().unwrap().is_empty());
    }

    #[test]
    fn a_pointer_out_of_the_store_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let store = ImageStore::open(data.path());
        fs::create_dir_all(store.images()).unwrap();
        for text in ["../../etc", "base-../x", "other-00", "base-", ""] {
            fs::write(store.current_file(&name()), text).unwrap();
            assert!(
                matches!(store.current(&name()), Err(StoreError::Damaged { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_finished_build_is_found_by_name() {
        let data = tempfile::tempdir().unwrap();
        let store = ImageStore::open(data.path());
        let hash: ImageHash = serde_json::from_str("\"0123456789ab\"").unwrap();
        let directory = directory_of(&name(), &hash);
        let path = store.images().join(&directory);
        fs::create_dir_all(layer_of(&path)).unwrap();
        let description = Description {
            name: name(),
            hash,
            layers: vec![directory.clone()],
            size_bytes: 7,
            built_at: Timestamp::UNIX_EPOCH,
            interpreter: false,
            kernels: None,
            defaults: Defaults::default(),
        };
        store.describe(&path, &description).unwrap();
        store.set_current(&name(), &directory).unwrap();
        let image = store.current(&name()).unwrap().unwrap();
        assert_eq!(image.layers(), [layer_of(&path)]);
        assert_eq!(store.list().unwrap().len(), 1);
    }
}
