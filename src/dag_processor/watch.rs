//! Stamps of files: cheap evidence that nothing changed.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the file system says of a file or folder; equal stamps mean an unchanged one. `None` when it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    mtime: (i64, i64),
    ctime: (i64, i64),
    size: u64,
    inode: u64,
}

impl Stamp {
    /// Looks at `path`, following links.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
            size: meta.size(),
            inode: meta.ino(),
        })
    }

    /// When the content changed last, in nanoseconds since 1970.
    pub(super) fn modified(&self) -> i128 {
        i128::from(self.mtime.0) * 1_000_000_000 + i128::from(self.mtime.1)
    }
}

/// How deep a bundle's folders are followed; links can make them endless.
const MAX_DEPTH: usize = 40;

/// Everything in a bundle that may become or stop being a Dag file: its folders, Python files and archives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    entries: BTreeMap<PathBuf, Option<Stamp>>,
}

impl Tree {
    /// Looks at the whole tree below `root`.
    pub(super) fn walk(root: &Path) -> Self {
        let mut tree = Self::default();
        let mut seen = HashSet::new();
        tree.enter(root, 0, &mut seen);
        tree
    }

    /// Whether it is still as it was, looking only at what is known: a new entry changes its folder's stamp.
    pub(super) fn is_unchanged(&self) -> bool {
        self.entries.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
    }

    /// Leaves out files that are watched otherwise.
    pub(super) fn without<'a>(mut self, files: impl Iterator<Item = &'a Path>) -> Self {
        for file in files {
            self.entries.remove(file);
        }
        self
    }

    fn enter(&mut self, folder: &Path, depth: usize, seen: &mut HashSet<u64>) {
        let stamp = Stamp::of(folder);
        self.entries.insert(folder.to_owned(), stamp);
        let Some(stamp) = stamp else { return };
        if depth > MAX_DEPTH || !seen.insert(stamp.inode) {
            return;
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            if path.is_dir() {
                if name != "__pycache__" && !name.starts_with('.') {
                    self.enter(&path, depth + 1, seen);
                }
            } else if name.ends_with(".py") || name.ends_with(".zip") || name == ".airflowignore" {
                let stamp = Stamp::of(&path);
                self.entries.insert(path, stamp);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_or_edited_file_changes_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let tree = Tree::walk(dir.path());
        assert!(tree.is_unchanged());
        std::fs::write(dir.path().join("sub/new.py"), "").unwrap();
        assert!(!tree.is_unchanged());
        let tree = Tree::walk(dir.path());
        std::fs::write(dir.path().join("sub/new.py"), "dag").unwrap();
        assert!(!tree.is_unchanged());
    }
}
