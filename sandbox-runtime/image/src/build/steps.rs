//! Walks through the steps of a recipe, from the first that is not finished.
//!
//! Every step can be run again after it was interrupted: what a step does is said by its result,
//! and package tools go on where they were.

use std::time::Instant;

use super::{
    BuildOptions, Reporter, apt, bootstrap,
    commands::{self, Failure},
    ledger::{LEDGER, Ledger},
    libraries,
    workshop::Workshop,
};
use crate::{
    error::{BuildError, FailedStep},
    hash::ImageHash,
    progress::Event,
    recipe::{Action, Origin, Recipe, Step},
};

/// Runs what is left of a recipe. The workshop stays open.
pub(crate) fn run_all(
    recipe: &Recipe,
    options: &BuildOptions,
    workshop: &Workshop,
    reporter: &Reporter,
    hash: ImageHash,
) -> Result<(), BuildError> {
    let first = match &recipe.origin {
        Origin::Bootstrap(bootstrap) => Some(bootstrap),
        Origin::Parent(_) => None,
    };
    let programs = bootstrap::EVERY_BUILD
        .iter()
        .chain(first.iter().flat_map(|_| &bootstrap::PROGRAMS));
    programs.copied().try_for_each(commands::require)?;

    let ledger_path = workshop.partial.join(LEDGER);
    let mut ledger =
        Ledger::open(&workshop.partial).map_err(BuildError::io("read", &ledger_path))?;
    let finished = ledger.finished();
    reporter.send(Event::Started {
        name: recipe.name.clone(),
        hash,
        finished,
    });

    let of = recipe.steps.len() + usize::from(first.is_some());
    let mut run = |index: usize, title: &str, work: &mut dyn FnMut() -> Result<(), Failure>| {
        if index < finished {
            return Ok::<(), BuildError>(());
        }
        let started = Instant::now();
        reporter.send(Event::Step {
            number: index + 1,
            of,
            title: title.to_owned(),
        });
        work().map_err(|failure| failed(recipe, workshop, index + 1, of, title, failure))?;
        ledger
            .finish_one()
            .map_err(BuildError::io("write", &ledger_path))?;
        reporter.send(Event::StepFinished {
            took: started.elapsed(),
        });
        Ok(())
    };

    if let Some(bootstrap) = first {
        run(0, bootstrap::TITLE, &mut || {
            bootstrap::run(bootstrap, options, workshop, reporter)
        })?;
    }
    workshop
        .open()
        .map_err(|failure| failed(recipe, workshop, finished + 1, of, "mounts", failure))?;
    for (index, step) in recipe.steps.iter().enumerate() {
        let index = index + usize::from(first.is_some());
        run(index, &step.title, &mut || {
            perform(step, workshop, reporter)
        })?;
    }
    Ok(())
}

/// A failure, with everything that tells a person where it happened.
pub(crate) fn failed(
    recipe: &Recipe,
    workshop: &Workshop,
    step: usize,
    steps: usize,
    title: &str,
    failure: Failure,
) -> BuildError {
    BuildError::Step(Box::new(FailedStep {
        name: recipe.name.clone(),
        step,
        steps,
        title: title.to_owned(),
        cause: failure.cause,
        tail: failure.tail,
        log: workshop.log_path.clone(),
    }))
}

fn perform(step: &Step, workshop: &Workshop, reporter: &Reporter) -> Result<(), Failure> {
    match &step.action {
        Action::Packages(packages) => apt::install(packages, workshop, reporter),
        Action::Python(lock) => libraries::install_python(lock, workshop, reporter),
        Action::Node(packages) => libraries::install_node(packages, workshop, reporter),
        Action::User {
            name,
            id,
            home_mode,
        } => make_user(name, *id, *home_mode, workshop),
        Action::Run(arguments) => {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            workshop.run(&arguments, &mut |line| reporter.advanced(None, line))
        }
        Action::Write { path, text, mode } => workshop
            .files()?
            .write(path, text, Some(*mode))
            .map_err(Failure::io("write", path.as_ref())),
        Action::Replace { path, old, new } => replace(path, old, new, workshop),
        Action::Remove(paths) => {
            let files = workshop.files()?;
            paths.iter().try_for_each(|path| {
                files
                    .remove(path)
                    .map_err(Failure::io("remove", path.as_ref()))
            })
        }
    }
}

fn make_user(name: &str, id: u32, home_mode: u32, workshop: &Workshop) -> Result<(), Failure> {
    let known = |file: &str| -> Result<bool, Failure> {
        let text = workshop
            .files()?
            .read(file)
            .map_err(Failure::io("read", file.as_ref()))?;
        Ok(text
            .lines()
            .any(|line| line.split(':').next() == Some(name)))
    };
    let id = id.to_string();
    if !known("/etc/group")? {
        workshop.run(&["groupadd", "--gid", &id, name], &mut |_| {})?;
    }
    if !known("/etc/passwd")? {
        let home_mode = format!("HOME_MODE={home_mode:04o}");
        let arguments = [
            "useradd",
            "--uid",
            &id,
            "--gid",
            &id,
            "--create-home",
            "-K",
            &home_mode,
            "--shell",
            "/bin/bash",
            name,
        ];
        workshop.run(&arguments, &mut |_| {})?;
    }
    Ok(())
}

fn replace(path: &str, old: &str, new: &str, workshop: &Workshop) -> Result<(), Failure> {
    let files = workshop.files()?;
    let text = files
        .read(path)
        .map_err(Failure::io("read", path.as_ref()))?;
    match text.matches(old).count() {
        1 => files
            .write(path, &text.replacen(old, new, 1), None)
            .map_err(Failure::io("write", path.as_ref())),
        // A step that was interrupted after it wrote.
        0 if text.contains(new) => Ok(()),
        count => Err(Failure::new(format!(
            "{path} has the text to replace {count} times, not once"
        ))),
    }
}
