//! This machine's name, as `[core] hostname_callable` gives it: what `job.hostname` and `task_instance.hostname` hold.

use std::process::Command;

/// The machine's name. Mirrors `airflow/utils/net.py`: the canonical name of the host's own name, or else that name.
///
/// `callable` is the dotted name of a Python function. The two usual ones are answered here; for any other one the
/// fully qualified name is used, with a warning.
pub fn hostname(callable: &str) -> String {
    match callable {
        "socket.gethostname" => plain(),
        "airflow.utils.net.getfqdn" | "socket.getfqdn" => qualified(),
        "airflow.utils.net.get_host_ip_address" => address().unwrap_or_else(qualified),
        other => {
            let name = qualified();
            tracing::warn!(
                callable = other,
                hostname = %name,
                "[core] hostname_callable names a function that is not supported yet; the machine's full name is used"
            );
            name
        }
    }
}

fn plain() -> String {
    match nix::unistd::gethostname() {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => "localhost".to_owned(),
    }
}

fn qualified() -> String {
    let plain = plain();
    // `getent ahosts` asks the C library for the canonical name, through every source that the machine is configured with.
    resolver("ahosts", &plain)
        .and_then(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .unwrap_or(plain)
}

fn address() -> Option<String> {
    resolver("ahostsv4", &qualified()).and_then(|line| line.split_whitespace().next().map(str::to_owned))
}

/// The first line of `getent DATABASE NAME`.
fn resolver(database: &str, name: &str) -> Option<String> {
    let out =
        Command::new("getent").args([database, name]).stdin(std::process::Stdio::null()).output().ok()?;
    String::from_utf8(out.stdout).ok()?.lines().next().map(str::to_owned)
}
