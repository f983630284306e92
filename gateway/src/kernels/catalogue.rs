//! Which kernels can be started: those of the node's templates, under the names that
//! notebooks use.
//!
//! The kernels of the operator's chosen template come first and go by plain names. One of
//! another template does so too, unless its name is taken: then it is `<template>.<name>`.
//! Asked of the node now and then, since clients poll this.

use super::{KernelError, Kernels};
use soulbox_runtime::{
    TemplateName,
    api::{KernelKind, TemplateStatus},
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A template that was just built shows up within this.
const FRESH: Duration = Duration::from_secs(5);
/// Notebooks were written with these names; other gateways and kernels made them common.
const NOTEBOOK_NAMES: [(&str, &str); 3] =
    [("python", "python3"), ("r", "ir"), ("javascript", "deno")];

/// One kernelspec.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Its name, as clients know it.
    pub spec: String,
    /// The template that it belongs to.
    pub template: TemplateName,
    /// What the node says of it.
    pub kernel: KernelKind,
}

impl Kind {
    /// Whether somebody who says `name` means this one.
    fn is(&self, name: &str) -> bool {
        if self.spec == name {
            return true;
        }
        match name.split_once('.') {
            Some((template, own)) => template == self.template.as_str() && self.goes_by(own),
            None => self.is_plain() && self.goes_by(name),
        }
    }

    /// Whether this is one of its names, template aside.
    fn goes_by(&self, name: &str) -> bool {
        let kernel = &self.kernel;
        notebook_name(&kernel.name) == name
            || kernel.name.eq_ignore_ascii_case(name)
            || kernel.language.eq_ignore_ascii_case(name)
            || kernel.aliases.iter().any(|alias| alias == name)
    }

    /// Whether people must be told from which template it is.
    pub fn shares_its_name(&self) -> bool {
        !self.is_plain()
    }

    fn is_plain(&self) -> bool {
        self.spec == notebook_name(&self.kernel.name)
    }
}

/// What was last heard of the node.
#[derive(Debug, Default)]
pub struct Catalogue(Mutex<Option<(Instant, Arc<Vec<Kind>>)>>);

impl Kernels {
    /// Every kernelspec, the default's template first.
    pub async fn kinds(&self) -> Result<Arc<Vec<Kind>>, KernelError> {
        let known = self.catalogue.0.lock().expect("no holder panics").clone();
        if let Some((_, kinds)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(kinds));
        }
        let status = match self.sandboxes.node().node().await {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(%error, "the node did not say which kernels it has");
                // What there was a moment ago is there when the node is back.
                return known.map(|(_, kinds)| kinds).ok_or(KernelError::Away);
            }
        };
        let kinds = Arc::new(kinds(status.templates, &self.policy.template));
        let mut place = self.catalogue.0.lock().expect("no holder panics");
        *place = Some((Instant::now(), Arc::clone(&kinds)));
        Ok(kinds)
    }

    /// The kernelspec that a name means; the default when there is no name.
    pub async fn kind(&self, name: Option<&str>) -> Result<Kind, KernelError> {
        let kinds = self.kinds().await?;
        let found = match name {
            None => kinds.first(),
            Some(name) => kinds.iter().find(|kind| kind.is(name)),
        };
        found
            .cloned()
            .ok_or_else(|| KernelError::NoSuchKind(name.unwrap_or("default").to_owned()))
    }

    /// The kernelspec of a name in a template, by any of its names.
    pub(super) async fn kind_in(
        &self,
        template: &TemplateName,
        name: Option<&str>,
    ) -> Result<Kind, KernelError> {
        let kinds = self.kinds().await?;
        let mut of_template = kinds.iter().filter(|kind| kind.template == *template);
        let found = match name {
            None => of_template.next(),
            Some(name) => of_template.find(|kind| kind.is(name) || kind.goes_by(name)),
        };
        found
            .cloned()
            .ok_or_else(|| KernelError::NoSuchKind(name.unwrap_or("default").to_owned()))
    }

    /// The name under which clients know a kind of kernel of a template.
    pub(super) fn spec_name(&self, template: &TemplateName, name: &str) -> String {
        let known = self.catalogue.0.lock().expect("no holder panics").clone();
        let kinds = known.iter().flat_map(|(_, kinds)| kinds.iter());
        kinds
            .filter(|kind| kind.template == *template && kind.kernel.name == name)
            .map(|kind| kind.spec.clone())
            .next()
            .unwrap_or_else(|| notebook_name(name).to_owned())
    }
}

fn kinds(mut templates: Vec<TemplateStatus>, plain: &TemplateName) -> Vec<Kind> {
    // Stable: the others keep the node's order.
    templates.sort_by_key(|template| template.name != *plain);
    let mut kinds: Vec<Kind> = Vec::new();
    for template in templates {
        for kernel in template.kernels {
            let name = notebook_name(&kernel.name);
            let taken = kinds.iter().any(|kind| kind.spec == name);
            let spec = if taken {
                format!("{}.{name}", template.name)
            } else {
                name.to_owned()
            };
            kinds.push(Kind {
                spec,
                template: template.name.clone(),
                kernel,
            });
        }
    }
    kinds
}

fn notebook_name(name: &str) -> &str {
    let common = NOTEBOOK_NAMES.iter().find(|(own, _)| *own == name);
    common.map_or(name, |(_, notebooks)| *notebooks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use soulbox_runtime::Limits;

    fn template(name: &str, kernels: &[&str]) -> TemplateStatus {
        let kernel = |name: &&str| KernelKind {
            name: (*name).into(),
            display_name: (*name).into(),
            language: (*name).into(),
            aliases: vec![format!("{name}-alias")],
            interrupt_mode: "message".into(),
            debugger: false,
        };
        TemplateStatus {
            name: TemplateName::new(name).expect("a name"),
            build: String::new(),
            interpreter: true,
            limits: Limits::default(),
            warm: 0,
            warm_wanted: 0,
            kernels: kernels.iter().map(kernel).collect(),
        }
    }

    #[test]
    fn notebooks_find_their_kernels_by_the_names_that_they_were_saved_with() {
        let plain = TemplateName::new("small").expect("a name");
        let templates = vec![
            template("large", &["python", "r"]),
            template("small", &["python", "bash"]),
        ];
        let kinds = kinds(templates, &plain);
        let specs: Vec<_> = kinds.iter().map(|kind| kind.spec.as_str()).collect();
        assert_eq!(specs, ["python3", "bash", "large.python3", "ir"]);
        let found = |name: &str| {
            let kind = kinds.iter().find(|kind| kind.is(name))?;
            Some((kind.template.as_str(), kind.kernel.name.as_str()))
        };
        for name in ["python3", "python", "Python", "python-alias"] {
            assert_eq!(found(name), Some(("small", "python")), "{name}");
        }
        for name in ["large.python3", "large.python", "large.python-alias"] {
            assert_eq!(found(name), Some(("large", "python")), "{name}");
        }
        assert_eq!(found("ir"), Some(("large", "r")));
        assert_eq!(found("R"), Some(("large", "r")));
        assert_eq!(found("cobol"), None);
    }
}
