//! How many connections nats-server lets begin in one second.
//!
//! A client gives up two seconds after it connected. When more begin than the machine can encrypt and authenticate in
//! that time, all of them time out together, come back, and time out again, for ever; turned away before anything is
//! spent on them they come back a little later and find room (spec 10 §8). nats-server takes the number when it
//! starts, and changing it later would disconnect everybody, so it is set from what the machine can spare then.

/// The limit for a machine with `processors`, of which other work wants the share `pressure` (0 to 1).
pub(crate) fn connections_per_second(processors: usize, pressure: f64) -> u32 {
    // Squared as measured: with a pressure of 0.6 two processors kept up with 150 in a second, and not with 430.
    let spare = (1.0 - pressure).clamp(0.0, 1.0).powi(2).max(LEAST_SPARE);
    let most = PER_PROCESSOR * processors.max(1) as f64;
    (most * spare) as u32
}

/// The share of time in which some task of this machine waited for a processor: over the last ten seconds or the last
/// minute, whichever was busier. 0 where the kernel does not tell.
pub(crate) fn cpu_pressure() -> f64 {
    let text = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    parse_pressure(&text).unwrap_or_default()
}

/// The percentages in `some avg10=0.00 avg60=1.23 …`, the larger one as a share.
fn parse_pressure(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let percent = |name: &str| -> Option<f64> {
        some.split_ascii_whitespace().find_map(|word| word.strip_prefix(name))?.parse().ok()
    };
    Some(percent("avg10=")?.max(percent("avg60=")?) / 100.0)
}

/// What one idle processor encrypts and authenticates in a second, with an RSA certificate and what else a machine does
/// when a whole fleet comes back. With 550, two processors that manage 560 in all needed half a minute for 2000 members.
const PER_PROCESSOR: f64 = 200.0;

/// However busy the machine is, nats-server gets some of it.
const LEAST_SPARE: f64 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_lets_fewer_in() {
        let rows = [
            (2, 0.0, 400),
            (8, 0.0, 1600),
            (2, 0.5, 100),
            (2, 0.99, 100),
            (2, 1.0, 100),
            (0, 0.0, 200),
            (1, -1.0, 200),
        ];
        for (processors, pressure, expected) in rows {
            assert_eq!(connections_per_second(processors, pressure), expected, "{processors} {pressure}");
        }
    }

    #[test]
    fn reads_what_the_kernel_says() {
        let rows = [
            ("some avg10=50.00 avg60=25.50 avg300=0.00 total=1", Some(0.5)),
            (
                "some avg10=1.00 avg60=25.50 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
                Some(0.255),
            ),
            ("full avg10=0.00 avg60=9.00 avg300=0.00 total=0\n", None),
            ("some avg10=x avg60=y", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_pressure(text), expected, "{text:?}");
        }
    }
}
