//! `[core] executor`: which executors there are and by which names tasks may ask for them
//! (`airflow/executors/executor_loader.py`).

const LOCAL: &str = "LocalExecutor";
const LOCAL_PATH: &str = "airflow.executors.local_executor.LocalExecutor";

/// The names by which tasks may ask for the local executor.
///
/// # Errors
/// A sentence that names the entry that is not supported.
pub fn local_names(option: &str) -> Result<Vec<String>, String> {
    let mut names = vec![LOCAL.to_owned(), LOCAL_PATH.to_owned()];
    for entry in option.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (alias, class) =
            entry.split_once(':').map_or((None, entry), |(alias, class)| (Some(alias), class));
        if class != LOCAL && class != LOCAL_PATH {
            return Err(format!(
                "[core] executor names `{entry}`, and only LocalExecutor is supported so far (see docs/parity.md); \
                 keep `airflow scheduler` for this deployment, or set LocalExecutor"
            ));
        }
        names.extend(alias.map(str::to_owned));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_executor_goes_by_its_class_its_path_and_its_alias() {
        let names = local_names("mine:LocalExecutor").unwrap();
        assert!(
            ["LocalExecutor", "mine", LOCAL_PATH].iter().all(|name| names.iter().any(|known| known == name))
        );
    }

    #[test]
    fn another_executor_is_refused_by_name() {
        assert!(local_names("LocalExecutor,CeleryExecutor").unwrap_err().contains("CeleryExecutor"));
    }
}
