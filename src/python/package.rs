//! The package `slipstream` as files, for processes of Airflow's own: the api-server finds the page in it.
//!
//! Where the wheel is installed this is not needed. `standalone` from a clone, or of a binary without a wheel, writes it.

use std::fs;
use std::io;
use std::path::Path;

use super::sources::PUBLIC;

macro_rules! page {
    ($($path:literal),+ $(,)?) => {
        /// The page in Airflow's UI: each file below the package, and its text.
        const PAGE: &[(&str, &str)] = &[$((
            $path,
            include_str!(concat!("../../airflow_compat/slipstream/ui/", $path)),
        )),+];
    };
}

page![
    "__init__.py",
    "app.py",
    "queries.py",
    "scheduler.py",
    "static/index.html",
    "static/page.css",
    "static/page.js"
];

/// The line of `pyproject.toml` by which Airflow finds the page.
const ENTRY_POINTS: &str = "[airflow.plugins]\nslipstream = slipstream.ui:SlipstreamPlugin\n";

/// Writes the package below `folder`, which is then to be named in `PYTHONPATH`. What was there is replaced.
///
/// # Errors
/// The folder cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let package = folder.join("slipstream");
    for (module, source) in PUBLIC {
        let name = module.strip_prefix("slipstream.").unwrap_or("__init__");
        write_file(&package.join(name).with_extension("py"), source)?;
    }
    for (path, text) in PAGE {
        write_file(&package.join("ui").join(path), text)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let info = folder.join(format!("slipstream_airflow-{version}.dist-info"));
    write_file(
        &info.join("METADATA"),
        &format!("Metadata-Version: 2.1\nName: slipstream-airflow\nVersion: {version}\n"),
    )?;
    write_file(&info.join("entry_points.txt"), ENTRY_POINTS)
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wheel_names_the_same_entry_point() {
        let project = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pyproject.toml")).unwrap();
        let (_, points) = project.split_once("[project.entry-points.\"airflow.plugins\"]\n").unwrap();
        assert_eq!(points.lines().next().unwrap().replace('"', ""), ENTRY_POINTS.lines().nth(1).unwrap());
    }

    #[test]
    fn the_package_has_every_file_of_the_source_but_the_hosts() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("airflow_compat/slipstream");
        for part in ["", "ui", "ui/static"] {
            for entry in fs::read_dir(source.join(part)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let written = folder.path().join("slipstream").join(path.strip_prefix(&source).unwrap());
                    assert_eq!(fs::read(&path).unwrap(), fs::read(written).unwrap(), "{}", path.display());
                }
            }
        }
    }
}
