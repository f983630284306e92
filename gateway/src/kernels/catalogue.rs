//! Which kernels can be started: those of the node's templates, under the names that
//! notebooks use.
//!
//! The kernels of the operator's chosen template go by plain names, those of other templates
//! by `<template>.<name>`. Asked of the node now and then, since clients poll this.

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
    fn is(&self, name: &str, plain: &TemplateName) -> bool {
        if self.spec == name {
            return true;
        }
        let own = if self.template == *plain {
            name
        } else {
            let Some((template, own)) = name.split_once('.') else {
                return false;
            };
            if template != self.template.as_str() {
                return false;
            }
            own
        };
        own.eq_ignore_ascii_case(&self.kernel.name)
            || self.kernel.aliases.iter().any(|alias| alias == own)
            || own.eq_ignore_ascii_case(&self.kernel.language)
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
            Some(name) => kinds
                .iter()
                .find(|kind| kind.is(name, &self.policy.template)),
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
            Some(name) => of_template
                .find(|kind| kind.is(name, &self.policy.template) || kind.is(name, &kind.template)),
        };
        found
            .cloned()
            .ok_or_else(|| KernelError::NoSuchKind(name.unwrap_or("default").to_owned()))
    }

    /// The name under which clients know a kind of kernel of a template.
    pub(super) fn spec_name(&self, template: &TemplateName, name: &str) -> String {
        spec_name(template, name, &self.policy.template)
    }
}

fn kinds(templates: Vec<TemplateStatus>, plain: &TemplateName) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = templates
        .into_iter()
        .flat_map(|template| {
            let name = template.name;
            template.kernels.into_iter().map(move |kernel| Kind {
                spec: spec_name(&name, &kernel.name, plain),
                template: name.clone(),
                kernel,
            })
        })
        .collect();
    kinds.sort_by_key(|kind| kind.template != *plain);
    kinds
}

fn spec_name(template: &TemplateName, name: &str, plain: &TemplateName) -> String {
    let common = NOTEBOOK_NAMES.iter().find(|(own, _)| *own == name);
    let name = common.map_or(name, |(_, notebooks)| *notebooks);
    if template == plain {
        name.to_owned()
    } else {
        format!("{template}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notebooks_find_their_kernels_by_the_names_that_they_were_saved_with() {
        let plain = TemplateName::new("code-interpreter-v1").expect("a name");
        let other = TemplateName::new("mine").expect("a name");
        let kernel = KernelKind {
            name: "python".into(),
            display_name: "Python 3".into(),
            language: "python".into(),
            aliases: vec!["py".into(), "python3".into()],
            interrupt_mode: "message".into(),
            debugger: false,
        };
        let kind = |template: &TemplateName| Kind {
            spec: spec_name(template, "python", &plain),
            template: template.clone(),
            kernel: kernel.clone(),
        };
        assert_eq!(kind(&plain).spec, "python3");
        assert_eq!(kind(&other).spec, "mine.python3");
        for name in ["python3", "python", "py", "Python"] {
            assert!(kind(&plain).is(name, &plain), "{name}");
            assert!(!kind(&other).is(name, &plain), "{name}");
        }
        assert!(kind(&other).is("mine.python", &plain));
        assert!(!kind(&plain).is("ir", &plain));
    }
}
