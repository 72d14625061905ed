//! Gives every target its seeds, variations of them, and everything that was ever found, on a stable compiler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use targets::{ALL, Target};

/// Most variations of one seed.
const VARIATIONS: usize = 12;
/// About as many inputs as one target gets, so that the whole test takes seconds; `CHORIA_FUZZ_INPUTS` asks for more.
const INPUTS: usize = 3000;

#[test]
fn recorded_data_and_variations_of_it() {
    let asked = std::env::var("CHORIA_FUZZ_INPUTS").ok().and_then(|number| number.parse().ok());
    let (inputs, variations) = asked.map_or((INPUTS, VARIATIONS), |inputs| (inputs, inputs));
    for target in ALL {
        let seeds = (target.seeds)();
        let mut ran = 0;
        for (name, seed) in &seeds {
            run(target, name, seed);
            ran += 1;
            // Long seeds are many times the work and say the same.
            let most = if seed.len() > 8192 { 2 } else { (inputs / seeds.len()).clamp(1, variations) };
            for number in 0..most as u64 {
                run(target, &format!("{name}, variation {number}"), &varied(seed, number));
                ran += 1;
            }
        }
        println!("fuzz: {}: {} seeds, {ran} inputs", target.name, seeds.len());
        assert!(seeds.len() > 5, "{}: only {} seeds", target.name, seeds.len());
    }
}

#[test]
fn past_finds() {
    let mut names = Vec::new();
    for target in ALL {
        let folder = regressions().join(target.name);
        // A target without a find has no folder.
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            run(target, &path.display().to_string(), &std::fs::read(&path).expect("a file"));
            names.push(path);
        }
    }
    println!("fuzz: {} past finds", names.len());
    let known = |folder: &Path| ALL.iter().any(|target| folder.ends_with(target.name));
    for entry in std::fs::read_dir(regressions()).expect("the folder of past finds") {
        let path = entry.expect("an entry").path();
        assert!(!path.is_dir() || known(&path), "{} belongs to no target", path.display());
    }
}

fn regressions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../regressions")
}

fn run(target: Target, name: &str, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(outcome.is_ok(), "{}: {name}: {:?}", target.name, String::from_utf8_lossy(input));
}

/// A seed changed a little, always in the same way: cut off, a piece doubled or left out, a byte replaced.
fn varied(seed: &[u8], number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.len() as u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let mut input = seed.to_vec();
    let at = random(input.len());
    let end = at + random(input.len() - at.min(input.len()));
    match number % 4 {
        0 => input.truncate(at),
        1 => drop(input.splice(at..at, seed[at..end].iter().copied())),
        2 => drop(input.drain(at..end)),
        _ if input.is_empty() => {}
        _ => input[at] = b"\0\xff\"{}[]()\\/.,:=+-019eE"[random(22)],
    }
    input
}
