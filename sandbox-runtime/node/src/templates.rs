//! The templates that sandboxes of this node can be started from: the image store, read
//! anew each time, so that a build that ends while the node runs is used from then on.

use crate::{error::NotReady, kernel_kinds, options::NodeOptions};
use soulbox_image::{Image, ImageStore};
use soulbox_runtime::{Limits, TemplateName, api::KernelKind};
use std::{collections::BTreeMap, path::PathBuf};
use tracing::warn;

/// One template, as a start needs it.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name.
    pub name: TemplateName,
    /// Its build.
    pub build: String,
    /// The layers of its root file system, base first.
    pub layers: Vec<PathBuf>,
    /// What its sandboxes may use.
    pub limits: Limits,
    /// Whether a kernel must be ready in it.
    pub interpreter: bool,
    /// The kernels that can be started in it.
    pub kernels: Vec<KernelKind>,
    /// Variables of its sandboxes.
    pub env: BTreeMap<String, String>,
    /// User of requests that name none.
    pub user: String,
    /// Working directory of requests that name none.
    pub workdir: Option<String>,
}

/// The built templates.
#[derive(Debug)]
pub struct Templates {
    store: ImageStore,
}

impl Templates {
    /// The store that the options name.
    pub fn new(options: &NodeOptions) -> Self {
        // The store takes the directory that holds `images`.
        let parent = options.images_dir.parent().unwrap_or(&options.images_dir);
        Self {
            store: ImageStore::open(parent),
        }
    }

    /// The current build of a template.
    ///
    /// # Errors
    /// [`NotReady::TemplateUnknown`] when it is not built.
    pub fn get(&self, name: &TemplateName) -> Result<Template, NotReady> {
        match self.store.current(name) {
            Ok(Some(image)) => Ok(template(image)),
            Ok(None) => Err(NotReady::TemplateUnknown(name.to_string())),
            Err(error) => {
                warn!(template = %name, %error, "could not read a template");
                Err(NotReady::TemplateUnknown(name.to_string()))
            }
        }
    }

    /// All templates that are built.
    pub fn list(&self) -> Vec<Template> {
        match self.store.list() {
            Ok(images) => images.into_iter().map(template).collect(),
            Err(error) => {
                warn!(%error, "could not list the templates");
                Vec::new()
            }
        }
    }
}

fn template(image: Image) -> Template {
    let layers = image.layers();
    let defaults = image.defaults;
    Template {
        name: image.name,
        build: image.hash.to_string(),
        layers,
        limits: defaults.limits,
        kernels: kernel_kinds::of_template(&image.kernels),
        interpreter: image.interpreter,
        env: defaults.env,
        user: defaults.user,
        workdir: Some(defaults.workdir),
    }
}
