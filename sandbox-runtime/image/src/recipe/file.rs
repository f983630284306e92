//! The TOML form of a recipe, and the checks that a parser of TOML cannot make.
//!
//! Whatever is wrong is told by the name of its key, since recipes are written by hand. Values end
//! up as arguments of package tools, so anything that such a tool could take for an option is refused.

use serde::Deserialize;
use soulbox_runtime::TemplateName;

use super::{Action, Bootstrap, Defaults, Origin, PythonLock, Recipe, Step};
use crate::error::RecipeError;

/// Steps of one recipe. Far more than anybody needs; a bound on what one file can ask for.
const MOST_STEPS: usize = 100;
/// The kernel of an interpreter whose recipe names none.
const DEFAULT_KERNEL: &str = "python";
/// Permission bits of a file that a recipe writes without saying.
const FILE_MODE: u32 = 0o644;
/// Permission bits of a home directory for which a recipe says nothing.
const HOME_MODE: u32 = 0o755;

/// A recipe as it stands in its file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeFile {
    name: TemplateName,
    #[serde(default)]
    summary: String,
    parent: Option<TemplateName>,
    bootstrap: Option<Bootstrap>,
    #[serde(default)]
    interpreter: bool,
    #[serde(default)]
    kernels: Option<Vec<String>>,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    step: Vec<StepFile>,
}

/// A step as it stands in its file: a title and exactly one of the actions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFile {
    title: String,
    packages: Option<Vec<String>>,
    python: Option<String>,
    node: Option<Vec<String>>,
    user: Option<UserFile>,
    run: Option<Vec<String>>,
    write: Option<WriteFile>,
    replace: Option<ReplaceFile>,
    remove: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserFile {
    name: String,
    id: u32,
    /// Octal digits, as `chmod` takes them.
    home_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteFile {
    path: String,
    text: String,
    /// Octal digits, as `chmod` takes them.
    mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplaceFile {
    path: String,
    old: String,
    new: String,
}

/// Gives the text of a file that a recipe names, or says why it cannot.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Result<String, String>;

impl Recipe {
    /// Reads a recipe. `origin` names it in errors; `lookup` finds the lock files that it names.
    pub fn parse(origin: &str, text: &str, lookup: Lookup<'_>) -> Result<Self, RecipeError> {
        let file: RecipeFile = toml::from_str(text).map_err(|problem| RecipeError::Syntax {
            recipe: origin.to_owned(),
            problem: problem.to_string(),
        })?;
        file.check(lookup)
            .map_err(|(key, problem)| RecipeError::Key {
                recipe: origin.to_owned(),
                key,
                problem,
            })
    }
}

/// A key and what is wrong with its value.
type Wrong = (String, String);

fn wrong<T>(key: impl Into<String>, problem: impl Into<String>) -> Result<T, Wrong> {
    Err((key.into(), problem.into()))
}

impl RecipeFile {
    fn check(self, lookup: Lookup<'_>) -> Result<Recipe, Wrong> {
        let origin = match (self.bootstrap, self.parent) {
            (Some(bootstrap), None) => Origin::Bootstrap(check_bootstrap(bootstrap)?),
            (None, Some(parent)) if parent == self.name => {
                return wrong("parent", "a template cannot be its own parent");
            }
            (None, Some(parent)) => Origin::Parent(parent),
            (Some(_), Some(_)) => {
                return wrong(
                    "parent",
                    "a recipe has either a parent or a [bootstrap], not both",
                );
            }
            (None, None) => {
                return wrong(
                    "parent",
                    "missing: name the template to build on, such as \"base\"",
                );
            }
        };
        check_absolute("defaults.workdir", &self.defaults.workdir)?;
        if self.defaults.user.is_empty() || self.defaults.user.contains([':', '/', '\n']) {
            return wrong("defaults.user", "not the name of a user");
        }
        for name in self.defaults.env.keys() {
            let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return wrong(format!("defaults.env.{name}"), "not the name of a variable");
            }
        }
        let kernels = match (self.kernels, self.interpreter) {
            (Some(kernels), _) => {
                check_each("kernels", &kernels, is_kernel)?;
                kernels
            }
            (None, true) => vec![DEFAULT_KERNEL.to_owned()],
            (None, false) => Vec::new(),
        };
        if self.step.len() > MOST_STEPS {
            return wrong("step", format!("more than {MOST_STEPS} steps"));
        }
        let steps = self.step.into_iter().enumerate();
        let steps = steps
            .map(|(index, step)| step.check(&format!("step[{index}]"), lookup))
            .collect::<Result<_, _>>()?;
        Ok(Recipe {
            name: self.name,
            summary: self.summary,
            origin,
            interpreter: self.interpreter,
            kernels,
            defaults: self.defaults,
            steps,
        })
    }
}

impl StepFile {
    fn check(self, key: &str, lookup: Lookup<'_>) -> Result<Step, Wrong> {
        let mut actions = Vec::new();
        if let Some(names) = self.packages {
            check_each(&format!("{key}.packages"), &names, is_package)?;
            actions.push(Action::Packages(names));
        }
        if let Some(name) = self.python {
            actions.push(Action::Python(check_lock(
                &format!("{key}.python"),
                &name,
                lookup,
            )?));
        }
        if let Some(names) = self.node {
            check_each(&format!("{key}.node"), &names, is_pinned_npm_package)?;
            actions.push(Action::Node(names));
        }
        if let Some(user) = self.user {
            if !is_login_name(&user.name) {
                return wrong(format!("{key}.user.name"), "not a login name");
            }
            if !(1000..60_000).contains(&user.id) {
                return wrong(
                    format!("{key}.user.id"),
                    "people have numbers from 1000 to 59999",
                );
            }
            let home_mode =
                check_mode(&format!("{key}.user.home_mode"), user.home_mode, HOME_MODE)?;
            actions.push(Action::User {
                name: user.name,
                id: user.id,
                home_mode,
            });
        }
        if let Some(arguments) = self.run {
            check_each(&format!("{key}.run"), &arguments, |argument| {
                !argument.contains('\0')
            })?;
            actions.push(Action::Run(arguments));
        }
        if let Some(file) = self.write {
            check_absolute(&format!("{key}.write.path"), &file.path)?;
            let mode = check_mode(&format!("{key}.write.mode"), file.mode, FILE_MODE)?;
            actions.push(Action::Write {
                path: file.path,
                text: file.text,
                mode,
            });
        }
        if let Some(file) = self.replace {
            check_absolute(&format!("{key}.replace.path"), &file.path)?;
            if file.old.is_empty() {
                return wrong(format!("{key}.replace.old"), "empty");
            }
            actions.push(Action::Replace {
                path: file.path,
                old: file.old,
                new: file.new,
            });
        }
        if let Some(paths) = self.remove {
            check_each(&format!("{key}.remove"), &paths, is_absolute)?;
            actions.push(Action::Remove(paths));
        }
        match (actions.pop(), actions.is_empty()) {
            (Some(action), true) => Ok(Step {
                title: self.title,
                action,
            }),
            _ => wrong(
                key,
                "a step has exactly one of packages, python, node, user, run, write, replace, remove",
            ),
        }
    }
}

fn check_mode(key: &str, digits: Option<String>, otherwise: u32) -> Result<u32, Wrong> {
    let Some(digits) = digits else {
        return Ok(otherwise);
    };
    match u32::from_str_radix(&digits, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => wrong(key, "not octal permission bits such as \"0644\""),
    }
}

fn check_bootstrap(bootstrap: Bootstrap) -> Result<Bootstrap, Wrong> {
    if bootstrap.suite.is_empty()
        || !bootstrap
            .suite
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return wrong(
            "bootstrap.suite",
            "not the name of a Debian release, such as \"trixie\"",
        );
    }
    if bootstrap
        .dpkg_options
        .iter()
        .any(|option| option.contains(['\n', '\'']))
    {
        return wrong(
            "bootstrap.dpkg_options",
            "an option is one line without quotes",
        );
    }
    Ok(bootstrap)
}

fn check_lock(key: &str, name: &str, lookup: Lookup<'_>) -> Result<PythonLock, Wrong> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return wrong(key, "not the name of a file beside the recipe");
    }
    let lock = PythonLock {
        text: lookup(name).or_else(|problem| wrong(key, problem))?,
    };
    for requirement in lock.requirements() {
        let pinned = requirement
            .split_whitespace()
            .next()
            .is_some_and(|first| first.contains("=="));
        if requirement.starts_with('-') || !pinned || !requirement.contains("--hash=") {
            return wrong(
                key,
                format!("{name}: not `package==version --hash=...`: {requirement}"),
            );
        }
    }
    if lock.packages() == 0 {
        return wrong(key, format!("{name} names no package"));
    }
    Ok(lock)
}

fn check_each(key: &str, values: &[String], good: impl Fn(&str) -> bool) -> Result<(), Wrong> {
    if values.is_empty() {
        return wrong(key, "an empty list");
    }
    match values.iter().position(|value| !good(value)) {
        None => Ok(()),
        Some(index) => wrong(
            format!("{key}[{index}]"),
            format!("{:?} cannot be used here", values[index]),
        ),
    }
}

fn check_absolute(key: &str, path: &str) -> Result<(), Wrong> {
    if is_absolute(path) {
        Ok(())
    } else {
        wrong(key, "not an absolute path without `..`")
    }
}

fn is_absolute(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && !path.contains('\0')
        && !path.split('/').any(|part| part == "..")
}

fn is_login_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Debian policy 5.6.1, with an optional `=version`.
fn is_kernel(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_package(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.:=~".contains(&b))
}

fn is_pinned_npm_package(name: &str) -> bool {
    let Some((package, version)) = name.rsplit_once('@') else {
        return false;
    };
    !package.is_empty()
        && package.starts_with(|c: char| c.is_ascii_lowercase() || c == '@')
        && package
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"@/._-".contains(&b))
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        let lookup = |name: &str| match name {
            "good.lock" => Ok("a==1 \\\n  --hash=sha256:00\n".to_owned()),
            "loose.lock" => Ok("a>=1\n".to_owned()),
            _ => Err(format!("{name} is not there")),
        };
        match Recipe::parse("mine.toml", text, &lookup) {
            Ok(_) => "fine".into(),
            Err(error) => error.to_string(),
        }
    }

    fn with_step(step: &str) -> String {
        complaint(&format!(
            "name = 'mine'\nparent = 'base'\n[[step]]\ntitle = 't'\n{step}\n"
        ))
    }

    #[test]
    fn a_good_recipe_is_taken() {
        assert_eq!(with_step("python = 'good.lock'"), "fine");
        assert_eq!(
            with_step("node = ['@scope/a-b@1.2.3', 'left@2.0.0-rc.1']"),
            "fine"
        );
        assert_eq!(
            with_step("write = { path = '/etc/x', text = '', mode = '0440' }"),
            "fine"
        );
    }

    #[test]
    fn a_bad_recipe_names_the_key() {
        for (text, key) in [
            ("parent = 'base'", "name"),
            ("name = 'mine'", "parent"),
            ("name = 'Mine'\nparent = 'base'", "name"),
            ("name = 'mine'\nparent = 'mine'", "parent"),
            ("name = 'mine'\nparent = 'base'\ncolour = 'red'", "colour"),
            (
                "name = 'mine'\nparent = 'base'\n[defaults]\nworkdir = 'x'",
                "defaults.workdir",
            ),
            (
                "name = 'mine'\nparent = 'base'\n[defaults.env]\n'a-b' = ''",
                "defaults.env.a-b",
            ),
            (
                "name = 'mine'\n[bootstrap]\nsuite = '--help'",
                "bootstrap.suite",
            ),
        ] {
            let said = complaint(text);
            assert!(
                said.contains(key) && said.contains("mine.toml"),
                "{text:?} gave {said:?}"
            );
        }
    }

    #[test]
    fn a_bad_step_names_its_number_and_key() {
        for (step, key) in [
            ("", "step[0]"),
            ("packages = ['a']\nremove = ['/a']", "step[0]"),
            ("packages = ['jq', '--force']", "step[0].packages[1]"),
            ("packages = []", "step[0].packages"),
            ("python = 'absent.lock'", "absent.lock is not there"),
            ("python = '../good.lock'", "step[0].python"),
            ("python = 'loose.lock'", "a>=1"),
            ("node = ['left']", "step[0].node[0]"),
            ("user = { name = 'a:b', id = 1000 }", "step[0].user.name"),
            ("user = { name = 'a', id = 0 }", "step[0].user.id"),
            (
                "write = { path = '/a/../b', text = '' }",
                "step[0].write.path",
            ),
            (
                "write = { path = '/a', text = '', mode = '99' }",
                "step[0].write.mode",
            ),
            (
                "replace = { path = '/a', old = '', new = '' }",
                "step[0].replace.old",
            ),
            ("remove = ['/']", "step[0].remove[0]"),
        ] {
            let said = with_step(step);
            assert!(said.contains(key), "{step:?} gave {said:?}");
        }
    }
}
