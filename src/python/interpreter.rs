//! Which Python is the Airflow environment's.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::config::{Config, keys};

use super::error::PythonError;

/// The interpreter of the Airflow environment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Interpreter {
    path: PathBuf,
    env: Vec<(OsString, OsString)>,
}

/// Where an interpreter may be found, first come first served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places<'a> {
    /// `[slipstream] python`.
    pub option: Option<&'a str>,
    /// The folder of this program: `bin` of the environment that its wheel was installed into.
    pub beside: Option<&'a Path>,
    /// `$PATH`.
    pub path: Option<&'a OsStr>,
    /// `$VIRTUAL_ENV`.
    pub virtual_env: Option<&'a OsStr>,
}

impl Interpreter {
    /// The interpreter that the configuration and the environment of this process lead to, see [`Interpreter::find`].
    ///
    /// # Errors
    /// As [`Interpreter::find`].
    pub fn locate(config: &Config) -> Result<Self, PythonError> {
        let option = config.get(&keys::slipstream::PYTHON);
        let (path, virtual_env) = (std::env::var_os("PATH"), std::env::var_os("VIRTUAL_ENV"));
        let program = std::env::current_exe().ok();
        Self::find(Places {
            option: Some(&option),
            beside: program.as_deref().and_then(Path::parent),
            path: path.as_deref(),
            virtual_env: virtual_env.as_deref(),
        })
    }

    /// The option if it is set, else the `python` beside this program if Airflow is installed there too, else the `python`
    /// beside the first `airflow` on the path, else the active virtual environment's, else the first `python3` on the path.
    ///
    /// # Errors
    /// [`PythonError::NotAFile`] for a wrong option, [`PythonError::NoInterpreter`] when nothing is found.
    pub fn find(places: Places<'_>) -> Result<Self, PythonError> {
        if let Some(option) = places.option.filter(|option| !option.is_empty()) {
            let path = PathBuf::from(option);
            return if path.is_file() { Ok(Self::at(path)) } else { Err(PythonError::NotAFile(path)) };
        }
        let with_airflow = |bin: &&Path| bin.join("airflow").is_file();
        let own = places.beside.filter(with_airflow).and_then(python_in);
        let folders: Vec<PathBuf> =
            places.path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        let beside_airflow = folders.iter().map(PathBuf::as_path).find(with_airflow).and_then(python_in);
        let active = || places.virtual_env.and_then(|env| python_in(&Path::new(env).join("bin")));
        let on_path = || folders.iter().map(|folder| folder.join("python3")).find(|path| path.is_file());
        let path =
            own.or(beside_airflow).or_else(active).or_else(on_path).ok_or(PythonError::NoInterpreter)?;
        Ok(Self::at(path))
    }

    /// The interpreter at `path`, unchecked: a process that starts it finds out.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), env: Vec::new() }
    }

    /// The same interpreter, whose processes see this variable of the environment too.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// What [`Interpreter::with_env`] added.
    pub(super) fn env(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.env.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn python_in(bin: &Path) -> Option<PathBuf> {
    ["python", "python3"].iter().map(|name| bin.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn the_python_beside_airflow_wins_over_the_active_environment() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a/bin/airflow", "a/bin/python", "b/bin/python", "c/python3"] {
            touch(&dir.path().join(file));
        }
        let path = std::env::join_paths([dir.path().join("c"), dir.path().join("a/bin")]).unwrap();
        let env = dir.path().join("b");
        let find = |path, env| {
            Interpreter::find(Places { path, virtual_env: env, ..Places::default() }).map(|found| found.path)
        };
        assert_eq!(find(Some(&path), Some(env.as_os_str())).unwrap(), dir.path().join("a/bin/python"));
        let path = dir.path().join("c");
        assert_eq!(
            find(Some(path.as_os_str()), Some(env.as_os_str())).unwrap(),
            dir.path().join("b/bin/python")
        );
        assert_eq!(find(Some(path.as_os_str()), None).unwrap(), dir.path().join("c/python3"));
        assert!(matches!(find(None, None), Err(PythonError::NoInterpreter)));
    }

    #[test]
    fn a_program_installed_into_an_environment_with_airflow_uses_that_environment() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["own/airflow", "own/python", "other/airflow", "other/python", "plain/python"] {
            touch(&dir.path().join(file));
        }
        let path = dir.path().join("other");
        let find = |beside: &str| {
            let beside = dir.path().join(beside);
            let places = Places { beside: Some(&beside), path: Some(path.as_os_str()), ..Places::default() };
            Interpreter::find(places).unwrap().path
        };
        assert_eq!(find("own"), dir.path().join("own/python"));
        assert_eq!(find("plain"), dir.path().join("other/python"));
    }

    #[test]
    fn a_wrong_option_is_not_replaced_by_a_guess() {
        let places = Places { option: Some("/no/such/python"), ..Places::default() };
        assert!(matches!(Interpreter::find(places), Err(PythonError::NotAFile(_))));
    }
}
