//! What a broker does with messages: throughput from one publisher to one subscriber, and the time of a round trip.

use super::client::{Connected, Dialer, Member};
use serde_json::json;
use std::time::{Duration, Instant};
use tokens::SigningKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Prints one line of JSON: messages of 1 KiB a second, and microseconds of a round trip of 16 bytes.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let ["--address", address, "--issuer", issuer] = arguments else {
        anyhow::bail!("traffic needs --address HOST:PORT --issuer SEED_FILE");
    };
    let issuer = SigningKey::read(issuer.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(address, &issuer))
}

async fn measure(address: &str, issuer: &SigningKey) -> anyhow::Result<()> {
    let dialer = Dialer::new(address)?;
    let member = Member::server(1, issuer)?;
    let connect = || async { dialer.connect(&member).await.map_err(|miss| anyhow::anyhow!("no connection: {miss:?}")) };
    // A member may publish to its own private reply subjects and subscribe to them.
    let subject = format!("choria.reply.{}.traffic", names::NetworkId::of(&member.name));
    let rate = throughput(connect().await?, connect().await?, &subject).await?;
    let times = round_trips(connect().await?, &subject).await?;
    let pick = |share: f64| times.get((times.len() as f64 * share) as usize).map(|time| time.as_secs_f64() * 1e6);
    println!("{}", json!({"messages_per_s": rate, "round_trip_us": pick(0.5), "round_trip_p99_us": pick(0.99)}));
    Ok(())
}

async fn throughput(mut publisher: Connected, mut subscriber: Connected, subject: &str) -> anyhow::Result<f64> {
    subscriber.write_all(format!("SUB {subject} 1\r\nPING\r\n").as_bytes()).await?;
    let mut buffer = vec![0; 256 * 1024];
    anyhow::ensure!(subscriber.read(&mut buffer).await? > 0, "the subscription was refused");
    let mut message = format!("PUB {subject} {PAYLOAD}\r\n").into_bytes();
    message.extend(std::iter::repeat_n(b'x', PAYLOAD));
    message.extend(b"\r\n");
    let batch = message.repeat(BATCH);
    let header = format!("MSG {subject} 1 {PAYLOAD}\r\n").len();
    let wanted = (header + PAYLOAD + 2) * MESSAGES;

    let began = Instant::now();
    let publish = async {
        for _ in 0..MESSAGES / BATCH {
            publisher.write_all(&batch).await?;
        }
        publisher.flush().await
    };
    let subscribe = async {
        let mut received = 0;
        while received < wanted {
            let count = subscriber.read(&mut buffer).await?;
            anyhow::ensure!(count > 0, "the subscriber was disconnected");
            received += count;
        }
        Ok(())
    };
    let ((), ()) = tokio::try_join!(async { publish.await.map_err(anyhow::Error::from) }, subscribe)?;
    Ok(MESSAGES as f64 / began.elapsed().as_secs_f64())
}

async fn round_trips(mut stream: Connected, subject: &str) -> anyhow::Result<Vec<Duration>> {
    stream.write_all(format!("SUB {subject} 1\r\n").as_bytes()).await?;
    let message = format!("PUB {subject} 16\r\n0123456789abcdef\r\n").into_bytes();
    let mut buffer = [0; 4096];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        stream.write_all(&message).await?;
        let mut heard = 0;
        // A ping of the broker may stand before or behind the message.
        while !buffer[..heard].windows(6).any(|word| word == b"cdef\r\n") {
            let count = stream.read(&mut buffer[heard..]).await?;
            anyhow::ensure!(count > 0, "the connection was closed");
            heard += count;
        }
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times)
}

const PAYLOAD: usize = 1024;

const BATCH: usize = 50;

const MESSAGES: usize = 200_000;

const ROUND_TRIPS: usize = 5000;
