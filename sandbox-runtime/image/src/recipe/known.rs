//! All recipes of this machine: the three built-in ones, and `<data-dir>/recipes/*.toml`.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::{Origin, Recipe};
use crate::error::RecipeError;

/// Directory of the operator's own recipes, in the data directory.
const RECIPES: &str = "recipes";
/// A recipe or lock file beyond this is no recipe: 1 MiB.
const LONGEST_FILE: u64 = 1 << 20;

const BASE: &str = include_str!("../../recipes/base.toml");
const CODE_INTERPRETER: &str = include_str!("../../recipes/code-interpreter-v1.toml");
const FULL: &str = include_str!("../../recipes/code-interpreter-full.toml");
const FULL_LOCK: &str = include_str!("../../recipes/code-interpreter-full.lock");
const CODE_INTERPRETER_LOCK: &str = include_str!("../../recipes/code-interpreter-v1.lock");

/// Every recipe, parents before their children. Each is complete: its parents are in the list.
pub fn recipes(data_dir: &Path) -> Result<Vec<Recipe>, RecipeError> {
    let mut found = built_in()?;
    for path in own_files(&data_dir.join(RECIPES))? {
        let file = path.display().to_string();
        let beside = |name: &str| {
            read_bounded(&path.with_file_name(name)).map_err(|error| error.to_string())
        };
        let recipe = Recipe::parse(&file, &read_bounded(&path)?, &beside)?;
        if let Some((_, other)) = found.iter().find(|(known, _)| known.name == recipe.name) {
            return Err(RecipeError::Twice {
                recipe: file,
                name: recipe.name,
                other: other.clone(),
            });
        }
        found.push((recipe, file));
    }
    parents_first(found.into_iter().map(|(recipe, _)| recipe).collect())
}

/// The recipes that this program brings, each with where it is from.
fn built_in() -> Result<Vec<(Recipe, String)>, RecipeError> {
    let lock = |name: &str| match name {
        "code-interpreter-v1.lock" => Ok(CODE_INTERPRETER_LOCK.to_owned()),
        "code-interpreter-full.lock" => Ok(FULL_LOCK.to_owned()),
        _ => Err("not part of this program".to_owned()),
    };
    [
        ("base.toml", BASE),
        ("code-interpreter-v1.toml", CODE_INTERPRETER),
        ("code-interpreter-full.toml", FULL),
    ]
    .into_iter()
    .map(|(file, text)| {
        Ok((
            Recipe::parse(file, text, &lock)?,
            format!("the built-in {file}"),
        ))
    })
    .collect()
}

fn own_files(directory: &Path) -> Result<Vec<std::path::PathBuf>, RecipeError> {
    let unreadable = |source| RecipeError::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(source)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_bounded(path: &Path) -> Result<String, RecipeError> {
    let unreadable = |source| RecipeError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(unreadable)?.len() > LONGEST_FILE {
        return Err(unreadable(io::Error::other("larger than 1 MiB")));
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// Sorts so that whoever walks the list finds a parent before its children.
fn parents_first(recipes: Vec<Recipe>) -> Result<Vec<Recipe>, RecipeError> {
    let mut sorted: Vec<Recipe> = Vec::with_capacity(recipes.len());
    let mut waiting: BTreeMap<String, Recipe> = recipes
        .into_iter()
        .map(|recipe| (recipe.name.as_str().to_owned(), recipe))
        .collect();
    while !waiting.is_empty() {
        let ready = waiting.values().find(|recipe| match &recipe.origin {
            Origin::Bootstrap(_) => true,
            Origin::Parent(parent) => sorted.iter().any(|done| done.name == *parent),
        });
        match ready.map(|recipe| recipe.name.as_str().to_owned()) {
            Some(name) => sorted.extend(waiting.remove(&name)),
            // Nobody is ready: each of the rest waits for a parent that is missing or waits itself.
            None => {
                let stuck = waiting
                    .into_values()
                    .find_map(|recipe| match recipe.origin {
                        Origin::Parent(parent) => Some(RecipeError::Parent {
                            name: recipe.name,
                            parent,
                        }),
                        Origin::Bootstrap(_) => None,
                    });
                return stuck.map_or(Ok(sorted), Err);
            }
        }
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_recipes_are_good() {
        let data = tempfile::tempdir().unwrap();
        let names: Vec<_> = recipes(data.path())
            .unwrap()
            .into_iter()
            .map(|recipe| recipe.name.to_string())
            .collect();
        assert_eq!(
            names,
            ["base", "code-interpreter-v1", "code-interpreter-full"]
        );
    }

    #[test]
    fn own_recipes_are_found_with_their_lock_files() {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().join(RECIPES);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("a.lock"), "a==1 --hash=sha256:00\n").unwrap();
        let text = "name = 'a'\nparent = 'code-interpreter-v1'\n[[step]]\ntitle = 't'\npython = 'a.lock'\n";
        fs::write(directory.join("a.toml"), text).unwrap();
        let found = recipes(data.path()).unwrap();
        assert!(found.iter().any(|recipe| recipe.name.as_str() == "a"));
    }

    #[test]
    fn a_second_recipe_for_a_name_is_refused() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join(RECIPES)).unwrap();
        fs::write(
            data.path().join("recipes/x.toml"),
            "name = 'base'\nparent = 'other'\n",
        )
        .unwrap();
        assert!(matches!(
            recipes(data.path()),
            Err(RecipeError::Twice { .. })
        ));
    }

    #[test]
    fn parents_in_a_circle_are_refused() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join(RECIPES)).unwrap();
        fs::write(
            data.path().join("recipes/x.toml"),
            "name = 'x'\nparent = 'y'\n",
        )
        .unwrap();
        fs::write(
            data.path().join("recipes/y.toml"),
            "name = 'y'\nparent = 'x'\n",
        )
        .unwrap();
        assert!(matches!(
            recipes(data.path()),
            Err(RecipeError::Parent { .. })
        ));
    }
}
