//! The name of a build: a hash of everything that decides what is in it.
//!
//! The recipe, the text of its lock files, the parent's hash and the builder's own revision go in.
//! The mirror does not (the same packages come from each), nor does the date: Debian's packages
//! are the newest of the suite on the day of the build.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::recipe::Recipe;

/// Raised when the builder itself begins to make other files out of the same recipe.
const BUILDER_REVISION: u32 = 1;

/// Hexadecimal digits of a hash that are kept: enough for every build that a machine will see.
const DIGITS: usize = 12;

/// Twelve hexadecimal digits that name one build of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageHash(String);

impl ImageHash {
    /// The hash of a recipe on top of its parent's build.
    pub fn of(recipe: &Recipe, parent: Option<&ImageHash>) -> Self {
        #[derive(Serialize)]
        struct Content<'a> {
            builder: u32,
            parent: Option<&'a ImageHash>,
            recipe: &'a Recipe,
        }
        let content = Content {
            builder: BUILDER_REVISION,
            parent,
            recipe,
        };
        // Struct fields keep their order and maps are sorted, so equal recipes give equal bytes.
        let bytes = serde_json::to_vec(&content).expect("a recipe is plain data");
        let mut digits: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        digits.truncate(DIGITS);
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(text: &str) -> Recipe {
        Recipe::parse("test.toml", text, &|_| {
            Ok("numpy==1.0 --hash=sha256:00".into())
        })
        .unwrap()
    }

    const ONE: &str = "name = 'one'\nparent = 'base'\n[[step]]\ntitle = 'x'\npackages = ['jq']\n";

    #[test]
    fn order_of_keys_and_comments_do_not_count() {
        let other = "# a comment\nparent = 'base'\nsummary = 'words'\nname = 'one'\n[[step]]\npackages = ['jq']\ntitle = 'x'\n";
        assert_eq!(
            ImageHash::of(&recipe(ONE), None),
            ImageHash::of(&recipe(other), None)
        );
    }

    #[test]
    fn content_and_parent_do_count() {
        let plain = ImageHash::of(&recipe(ONE), None);
        assert_ne!(
            plain,
            ImageHash::of(&recipe(&ONE.replace("jq", "yq")), None)
        );
        assert_ne!(plain, ImageHash::of(&recipe(ONE), Some(&plain)));
    }

    #[test]
    fn text_of_a_lock_file_counts() {
        let text = "name = 'one'\nparent = 'base'\n[[step]]\ntitle = 'x'\npython = 'a.lock'\n";
        let first = Recipe::parse("t", text, &|_| Ok("a==1 --hash=sha256:00".into())).unwrap();
        let second = Recipe::parse("t", text, &|_| Ok("a==2 --hash=sha256:00".into())).unwrap();
        assert_ne!(ImageHash::of(&first, None), ImageHash::of(&second, None));
        let spaced = Recipe::parse("t", text, &|_| {
            Ok("# new\na==1 \\\n    --hash=sha256:00\n".into())
        })
        .unwrap();
        assert_eq!(ImageHash::of(&first, None), ImageHash::of(&spaced, None));
    }

    #[test]
    fn a_hash_is_the_same_on_every_machine_and_day() {
        assert_eq!(ImageHash::of(&recipe(ONE), None).as_str().len(), DIGITS);
        assert_eq!(
            ImageHash::of(&recipe(ONE), None),
            ImageHash::of(&recipe(ONE), None)
        );
    }
}
