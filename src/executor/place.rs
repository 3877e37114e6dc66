//! Where a deployment's worker can be found.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::{Config, keys};

/// Longest path of a unix socket, with room for the names of the files beside it.
const LONGEST: usize = 100;

/// The worker's place in the file system: its socket and the files beside it. The same for every process of a deployment
/// on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    /// The place of the deployment with this configuration.
    pub fn of(config: &Config) -> Self {
        let home = config.airflow_home();
        let folder = match config.get(&keys::slipstream::RUNTIME_DIR) {
            option if option.is_empty() => home.join("slipstream"),
            option => PathBuf::from(option),
        };
        Self::new(home, &config.get(&keys::database::SQL_ALCHEMY_CONN), &folder, &std::env::temp_dir())
    }

    /// The place of the deployment with this home and this database.
    ///
    /// It is in `folder`; if that makes the path too long for a socket, in a private folder of `temp`.
    pub fn new(airflow_home: &Path, database_url: &str, folder: &Path, temp: &Path) -> Self {
        let mut hash = Sha256::new();
        // A home may be shared by hosts; a socket cannot.
        let host = nix::unistd::gethostname().unwrap_or_default();
        for part in
            [airflow_home.as_os_str().as_encoded_bytes(), database_url.as_bytes(), host.as_encoded_bytes()]
        {
            hash.update(part);
            hash.update([0]);
        }
        let name = format!("worker-{}", &hex::encode(hash.finalize())[..16]);
        let fits = folder.as_os_str().len() + name.len() + ".sock".len() < LONGEST;
        let user = nix::unistd::geteuid();
        let folder = if fits { folder.to_owned() } else { temp.join(format!("slipstream-{user}")) };
        Self { folder, name }
    }

    /// The worker's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!("{}.sock", self.name))
    }

    /// The file that a running worker has locked.
    pub fn lock(&self) -> PathBuf {
        self.folder.join(format!("{}.lock", self.name))
    }

    /// The folder in which the worker notes the processes that it runs.
    pub fn processes(&self) -> PathBuf {
        self.folder.join(format!("{}.tasks", self.name))
    }

    /// The socket at which a scheduler with this process id is asked about itself.
    pub fn debug_socket(&self, pid: u32) -> PathBuf {
        self.folder.join(format!("{}-{pid}.sock", self.debug()))
    }

    /// The sockets of that kind that are there, with the process ids in their names; those of processes that were killed are
    /// among them.
    pub fn debug_sockets(&self) -> Vec<(u32, PathBuf)> {
        let prefix = format!("{}-", self.debug());
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut found: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let pid = name.strip_prefix(&prefix)?.strip_suffix(".sock")?.parse().ok()?;
                Some((pid, entry.path()))
            })
            .collect();
        found.sort();
        found
    }

    /// Removes the sockets of schedulers that were killed.
    pub fn forget_dead_schedulers(&self) {
        for (pid, socket) in self.debug_sockets() {
            if !Path::new(&format!("/proc/{pid}")).exists() {
                // Another scheduler may have done it.
                let _ = fs::remove_file(socket);
            }
        }
    }

    /// Where [`Place::debug_sockets`] are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn debug(&self) -> String {
        self.name.replace("worker-", "debug-")
    }

    /// Makes the folder, for this user only.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let found = fs::symlink_metadata(&self.folder)?;
        if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() {
            let text = format!("{} is not a folder of this user", self.folder.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_have_places_of_their_own() {
        let place = |home: &str, url: &str| {
            let home = Path::new(home);
            Place::new(home, url, &home.join("slipstream"), Path::new("/tmp"))
        };
        assert_eq!(place("/a", "x"), place("/a", "x"));
        assert_ne!(place("/a", "x").socket(), place("/a", "y").socket());
        assert_ne!(place("/a", "x").socket().file_name(), place("/b", "x").socket().file_name());
    }

    #[test]
    fn a_long_home_does_not_make_a_socket_too_long() {
        let home = format!("/{}", "deep/".repeat(40));
        let socket = Place::new(Path::new(&home), "x", Path::new(&home), Path::new("/tmp")).socket();
        assert!(socket.starts_with("/tmp") && socket.as_os_str().len() < 104, "{}", socket.display());
    }

    #[test]
    fn the_longest_folder_leaves_room_for_every_socket() {
        for length in 20..120 {
            let folder = format!("/{}", "d".repeat(length));
            let place = Place::new(Path::new("/a"), "x", Path::new(&folder), Path::new("/tmp"));
            // Paths of sockets have 107 bytes and an end.
            assert!(place.debug_socket(4_194_304).as_os_str().len() <= 107, "{length}");
        }
    }

    #[test]
    fn the_sockets_of_schedulers_are_found_by_their_processes() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new(home.path(), "x", &home.path().join("run"), Path::new("/tmp"));
        assert_eq!(place.debug_sockets(), []);
        place.prepare().unwrap();
        for pid in [9, 7] {
            fs::write(place.debug_socket(pid), "").unwrap();
        }
        fs::write(place.socket(), "").unwrap();
        assert_eq!(place.debug_sockets(), [(7, place.debug_socket(7)), (9, place.debug_socket(9))]);
    }

    #[test]
    fn the_folder_is_private() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new(home.path(), "x", &home.path().join("run"), Path::new("/tmp"));
        place.prepare().unwrap();
        let mode = fs::metadata(place.socket().parent().unwrap()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
