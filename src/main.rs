//! The `slipstream` command.

fn main() -> std::process::ExitCode {
    slipstream::cli::main()
}
