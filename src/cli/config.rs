//! `slipstream config`.

use clap::{Args, Subcommand};

use crate::config::{Config, Source, reference};

use super::exit::{Exit, Failure};

/// Show the options that Slipstream reads, with their effective values; secrets are hidden.
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Only what is not a default.
    #[arg(long)]
    changed: bool,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print one value: `slipstream config get core parallelism`.
    Get {
        /// Its section.
        section: String,
        /// Its name.
        key: String,
    },
    /// Print what every option means, in Markdown (`docs/configuration.md`).
    Reference,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    if let Some(What::Reference) = options.what {
        super::say::text(format_args!("{}", reference::markdown()));
        return Ok(());
    }
    let config = Config::load()?;
    if let Some(What::Get { section, key }) = &options.what {
        let all = config.effective();
        let found = all.iter().find(|option| option.section == section && option.name == key);
        let found = found.ok_or_else(|| {
            Failure::new(Exit::Config, format!("[{section}] {key} is not an option that Slipstream reads"))
        })?;
        say!("{}", found.shown);
        return Ok(());
    }
    let (file, _) = config.file();
    say!("# {}", file.display());
    let mut section = "";
    for option in config.effective() {
        if options.changed && option.source == Source::Default {
            continue;
        }
        if option.section != section {
            section = option.section;
            say!("\n[{section}]");
        }
        say!("{} = {}  # {}", option.name, option.shown.replace('\n', "\n    "), option.source);
    }
    for note in config.notes() {
        say!("\n# {note}");
    }
    Ok(())
}
