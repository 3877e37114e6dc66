//! Whether users' Python may want to hear of, or change, what the scheduler does: told by files, without Python.
//!
//! Airflow finds such code in its plugins folder, in `airflow_local_settings`, in entry points of installed distributions and
//! in providers (`airflow/plugins_manager.py`, `airflow/settings.py`). The answer may be a false "yes", never a false "no".

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::interpreter::Interpreter;
use crate::config::{Config, keys};

/// The module of cluster policies, as a file and as a package.
const LOCAL_SETTINGS: [&str; 2] = ["airflow_local_settings.py", "airflow_local_settings"];

/// Whether the deployment may have plugins or cluster policies.
pub fn may_exist(config: &Config, interpreter: &Interpreter) -> bool {
    let plugins = PathBuf::from(config.get(&keys::core::PLUGINS_FOLDER));
    if has_files(&plugins) {
        return true;
    }
    let site = site_packages(interpreter);
    // An environment of an unknown shape: only Python can tell.
    if site.is_empty() {
        return true;
    }
    let on_path = env::var_os("PYTHONPATH").map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let folders = on_path.into_iter().flatten().chain([config.airflow_home().join("config")]);
    folders.chain(site.iter().cloned()).any(|folder| has_local_settings(&folder))
        || site.iter().any(|folder| has_entry_points(folder))
}

/// Whether the plugins folder holds anything that is not hidden; subfolders and archives may hold plugins too.
fn has_files(folder: &Path) -> bool {
    entries(folder).any(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        !name.starts_with('.') && name != "__pycache__"
    })
}

fn has_local_settings(folder: &Path) -> bool {
    LOCAL_SETTINGS.iter().any(|name| folder.join(name).exists())
}

/// Whether a distribution brings a plugin or a policy, itself or through its list of what a provider has.
fn has_entry_points(site: &Path) -> bool {
    let info =
        |path: &PathBuf| path.extension().is_some_and(|kind| kind == "dist-info" || kind == "egg-info");
    // The page of ours is for the api-server alone.
    let ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("slipstream_airflow-"))
    };
    entries(site).filter(info).filter(|path| !ours(path)).any(|path| {
        let points = fs::read_to_string(path.join("entry_points.txt")).unwrap_or_default();
        points.contains("[airflow.plugins]")
            || points.contains("[airflow.policy]")
            || provider_files(&points).any(|file| {
                let text = fs::read_to_string(site.join(file)).unwrap_or_default();
                text.contains("\"plugins\"")
            })
    })
}

/// The files of `provider_info=a.b.c:function` lines, relative to the folder of the packages.
fn provider_files(points: &str) -> impl Iterator<Item = PathBuf> + '_ {
    let module = |line: &str| Some(line.strip_prefix("provider_info")?.split_once('=')?.1.trim().to_owned());
    points.lines().filter_map(move |line| {
        let target = module(line.trim())?;
        let module = target.split(':').next()?.replace('.', "/");
        Some(PathBuf::from(format!("{module}.py")))
    })
}

/// Where the interpreter's packages are: its own, and the user's.
fn site_packages(interpreter: &Interpreter) -> Vec<PathBuf> {
    let prefix = interpreter.path().parent().and_then(Path::parent).map(Path::to_owned);
    let user = env::var_os("HOME").map(|home| PathBuf::from(home).join(".local"));
    let mut found = Vec::new();
    for library in prefix.into_iter().chain(user).map(|root| root.join("lib")) {
        let python = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
        };
        for folder in entries(&library).filter(python) {
            let folders = ["site-packages", "dist-packages"].map(|name| folder.join(name));
            found.extend(folders.into_iter().filter(|folder| folder.is_dir()));
        }
    }
    found
}

/// What is in a folder; nothing if it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn an_empty_plugins_folder_has_no_plugins() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_files(&folder.path().join("missing")));
        write(folder.path(), "__pycache__/old.pyc", "");
        assert!(!has_files(folder.path()));
        write(folder.path(), "mine.py", "");
        assert!(has_files(folder.path()));
    }

    #[test]
    fn entry_points_and_providers_may_bring_plugins() {
        let site = tempfile::tempdir().unwrap();
        let provider = "[apache_airflow_provider]\nprovider_info=airflow.providers.a.get_provider_info:get\n";
        write(site.path(), "a-1.dist-info/entry_points.txt", provider);
        write(site.path(), "airflow/providers/a/get_provider_info.py", "{\"hooks\": []}");
        assert!(!has_entry_points(site.path()));
        write(site.path(), "airflow/providers/a/get_provider_info.py", "{\"plugins\": []}");
        assert!(has_entry_points(site.path()));
        let other = tempfile::tempdir().unwrap();
        write(other.path(), "b-1.dist-info/entry_points.txt", "[airflow.plugins]\nb = b:Plugin\n");
        assert!(has_entry_points(other.path()));
    }

    #[test]
    fn local_settings_are_a_file_or_a_package() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_local_settings(folder.path()));
        write(folder.path(), "airflow_local_settings/__init__.py", "");
        assert!(has_local_settings(folder.path()));
    }
}
