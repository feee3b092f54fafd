//! A rate limit service, envoyproxy/ratelimit, and its Redis.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{
    client::{get, once},
    control::loopback,
    echo::any_port,
    ports,
    process::Process,
    wait::until,
};

/// The running service and its Redis. Dropping it kills both.
#[derive(Debug)]
pub struct RateLimit {
    options: Options,
    pub redis: Process,
    pub service: Process,
}

/// The options of the two, which can be started several times with them.
#[derive(Debug)]
struct Options {
    dir: PathBuf,
    /// The address that Envoys use.
    grpc: SocketAddr,
    /// The address of the service's health check.
    http: SocketAddr,
    debug: SocketAddr,
    redis: SocketAddr,
    /// Further environment variables of the service.
    variables: Vec<(&'static str, &'static str)>,
}

// === impl RateLimit ===

impl RateLimit {
    /// Starts both, which write all their files to a new folder. `config` is the service's configuration in YAML,
    /// `variables` are further environment variables of the service.
    pub async fn start(dir: &Path, config: &str, variables: &[(&'static str, &'static str)]) -> Result<Self> {
        fs::create_dir_all(dir.join("config"))?;
        fs::write(dir.join("config/limits.yaml"), config)?;
        let options = Options {
            dir: dir.to_owned(),
            grpc: SocketAddr::new(any_port().ip(), ports::free()?),
            http: loopback()?,
            debug: loopback()?,
            redis: loopback()?,
            variables: variables.to_vec(),
        };
        let redis = options.start_redis().await?;
        let service = options.start_service().await?;
        Ok(Self {
            options,
            redis,
            service,
        })
    }

    /// The address that Envoys use.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.options.grpc
    }

    /// Restarts the service at its address. Its counts are in Redis and stay.
    pub async fn restart_service(&mut self) -> Result<()> {
        self.service.kill().await?;
        self.service = self.options.start_service().await?;
        Ok(())
    }

    /// Restarts Redis at its address. Its counts are lost.
    pub async fn restart_redis(&mut self) -> Result<()> {
        self.redis.kill().await?;
        self.redis = self.options.start_redis().await?;
        Ok(())
    }

    /// The number of requests counted for all descriptors whose values contain `of`.
    pub async fn counted(&self, of: &str) -> Result<u64> {
        let sum = format!(
            "local sum = 0 \
             for _, key in ipairs(redis.call('keys', '*{of}*')) do sum = sum + redis.call('get', key) end \
             return sum"
        );
        let answer = ask(self.options.redis, &format!("EVAL \"{sum}\" 0")).await?;
        let count = answer.strip_prefix(':').with_context(|| answer.clone())?;
        Ok(count.parse()?)
    }
}

/// Stops all threads of a program: it keeps its connections but does not answer.
pub async fn hang(process: &Process) -> Result<()> {
    process.signal(Signal::STOP)?;
    until("it has stopped", async || {
        for thread in fs::read_dir(format!("/proc/{}/task", process.pid()))? {
            let stat = fs::read_to_string(thread?.path().join("stat"))?;
            let (_, state) = stat.rsplit_once(") ").context("no state")?;
            ensure!(state.starts_with('T'), "{stat}");
        }
        Ok(())
    })
    .await
}

/// Resumes a stopped program.
pub fn wake(process: &Process) -> Result<()> {
    process.signal(Signal::CONT)
}

// === impl Options ===

impl Options {
    /// Starts Redis without persistence.
    async fn start_redis(&self) -> Result<Process> {
        let Self { dir, redis, .. } = self;
        let mut command = Command::new(program("REDIS", "scripts/redis.sh")?);
        command
            .args(["--bind", &redis.ip().to_string()])
            .args(["--port", &redis.port().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(dir);
        let mut process = Process::spawn(command, &dir.join("redis.log"))?;
        until("Redis answers", async || {
            process.check()?;
            let answer = ask(*redis, "PING").await?;
            ensure!(answer == "+PONG", "{answer}");
            Ok(())
        })
        .await?;
        Ok(process)
    }

    async fn start_service(&self) -> Result<Process> {
        let Self {
            dir,
            grpc,
            http,
            debug,
            redis,
            variables,
        } = self;
        let mut command = Command::new(program("RATELIMIT", "scripts/ratelimit.sh")?);
        for (name, address) in [("", http), ("GRPC_", grpc), ("DEBUG_", debug)] {
            command
                .env(format!("{name}HOST"), address.ip().to_string())
                .env(format!("{name}PORT"), address.port().to_string());
        }
        command
            .env("RUNTIME_ROOT", dir)
            .env("RUNTIME_WATCH_ROOT", "false")
            .env("USE_STATSD", "false")
            .env("REDIS_SOCKET_TYPE", "tcp")
            .env("REDIS_URL", redis.to_string())
            .envs(variables.iter().copied());
        let mut process = Process::spawn(command, &dir.join("ratelimit.log"))?;
        until("the rate limit service is well", async || {
            process.check()?;
            let answer = once(*http, get("ratelimit", "/healthcheck")).await?;
            ensure!(answer.status == 200, "{answer:?}");
            // The service opens the gRPC port after this one.
            TcpStream::connect(grpc).await?;
            Ok(())
        })
        .await?;
        Ok(process)
    }
}

/// The response of Redis to a command, which must be a single line.
async fn ask(redis: SocketAddr, command: &str) -> Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(redis).await?);
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}

/// The path in an environment variable, as printed by a script.
fn program(variable: &str, script: &str) -> Result<PathBuf> {
    let program = env::var_os(variable);
    let program = program.with_context(|| format!("{variable} is not set: {variable}=$({script})"))?;
    Ok(program.into())
}
