//! Writes the first inputs of a fuzz target into a folder: `choria-fuzz-seeds TARGET FOLDER`.

use std::path::Path;
use std::process::ExitCode;
use targets::Target;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = arguments.as_slice() else {
        eprintln!("usage: choria-fuzz-seeds TARGET FOLDER");
        return ExitCode::from(2);
    };
    match write(Target::find(target), Path::new(folder)) {
        Ok(written) => {
            println!("{written} inputs for {target} in {folder}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(target: Target, folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let seeds = (target.seeds)();
    for (number, (_, seed)) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:04}")), seed)?;
    }
    Ok(seeds.len())
}
