//! Runs the commands of the book's first page, and applies the manifests of all pages to an API server.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use switchyard_tests::{cluster::POD, clusters, paths, process::Group};

const PAGE: &str = "docs/start.md";

/// The marker after each command, together with its exit code.
const END: &str = "-- exit code";

/// A command of the page with its output there, which may be empty if the page does not show it.
#[derive(Debug)]
struct Told<'p> {
    command: &'p str,
    output: Vec<&'p str>,
}

/// The fenced code blocks of a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("\n```{language}\n");
    let blocks = page.split(fence.as_str()).skip(1);
    blocks.filter_map(|block| block.split("\n```").next()).collect()
}

fn commands(page: &str) -> Vec<Told<'_>> {
    let mut commands: Vec<Told<'_>> = Vec::new();
    for line in blocks(page, "console").into_iter().flat_map(str::lines) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(Told {
                command,
                output: Vec::new(),
            }),
            (None, Some(last)) => last.output.push(line),
            (None, None) => {}
        }
    }
    commands
}

/// The commands as one shell script. Background processes write to a log.
fn script(commands: &[Told<'_>]) -> String {
    let lines = commands.iter().map(|Told { command, .. }| {
        let command = match command.strip_suffix('&') {
            Some(beside) => format!("{beside}>>beside.log 2>&1 &"),
            None => (*command).to_owned(),
        };
        format!("{command}\necho \"{END} $?\"\n")
    });
    lines.collect()
}

/// Replaces numbers, because durations differ between machines.
fn timeless(line: &str) -> String {
    let words = line
        .split(' ')
        .map(|word| if word.parse::<u32>().is_ok() { "N" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Creates the folder that the page assumes: programs on the PATH, and the filter next to Switchyard.
fn prepare(page: &str) -> Result<(PathBuf, PathBuf)> {
    let dir = paths::scratch("book")?.canonicalize()?;
    let (programs, work) = (dir.join("bin"), dir.join("work"));
    fs::create_dir(&programs)?;
    fs::create_dir(&work)?;
    // With a symbolic link, Switchyard would find the build folder instead.
    fs::hard_link(paths::switchyard()?, programs.join("switchyard"))?;
    fs::copy(paths::wasm()?, programs.join("switchyard.wasm"))?;
    symlink(paths::envoy()?, programs.join("envoy"))?;
    fs::create_dir(work.join("manifests"))?;
    for manifest in blocks(page, "yaml") {
        let name = manifest.lines().next().and_then(|line| line.strip_prefix("# "));
        fs::write(work.join(name.context("a manifest says its file")?), manifest)?;
    }
    Ok((programs, work))
}

fn run(script: &str, programs: &Path, work: &Path) -> Result<Output> {
    let path = std::env::var("PATH")?;
    let shell = Command::new("bash")
        .args(["-c", script])
        .current_dir(work)
        .env("PATH", format!("{}:{path}", programs.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    // Processes that the commands left running end with the test.
    let _group = Group::of(&shell)?;
    Ok(shell.wait_with_output()?)
}

#[test]
fn start_page_commands_print_the_shown_output() -> Result<()> {
    let page = fs::read_to_string(paths::repository().join(PAGE))?;
    let commands = commands(&page);
    ensure!(commands.len() > 12, "only {} commands", commands.len());
    let (programs, work) = prepare(&page)?;
    let output = run(&script(&commands), &programs, &work)?;
    let written = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut parts = written.split_inclusive(END);
    let mut rest = parts.next();
    for Told { command, output } in &commands {
        let part = rest.with_context(|| format!("{command}: it never came to it: {errors}"))?;
        let part = part.trim_end_matches(END);
        rest = parts.next();
        let code = rest.and_then(|next| next.trim_start().lines().next());
        ensure!(code == Some("0"), "{command}: exit code {code:?}: {part}{errors}");
        // The first line is the previous command's exit code.
        let lines: Vec<_> = part
            .lines()
            .filter(|line| line.trim().parse::<u8>().is_err())
            .collect();
        let (said, told) = (lines.iter(), output.iter());
        let is_said = said
            .map(|line| timeless(line))
            .eq(told.map(|line| timeless(line)));
        ensure!(
            output.is_empty() || is_said,
            "{command}: prints {lines:?}, and not {output:?}"
        );
    }
    Ok(())
}

/// The YAML code blocks of the book and the README, with names that tell their place.
fn manifests() -> Result<Vec<(String, String)>> {
    let pages = fs::read_dir(paths::repository().join("docs"))?;
    let pages = pages.map(|page| Ok(page?.path())).collect::<Result<Vec<_>>>()?;
    let readme = paths::repository().join("README.md");
    let pages = pages.into_iter().chain([readme]);
    let mut found = Vec::new();
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let stem = page.file_stem().context("a name")?.display().to_string();
        let text = fs::read_to_string(&page)?;
        let blocks = blocks(&text, "yaml");
        found.extend(
            blocks
                .into_iter()
                .enumerate()
                .map(|(at, block)| (format!("{stem}-{at}.yaml"), block.to_owned())),
        );
    }
    Ok(found)
}

/// The address of the endpoints on the first page, which needs no cluster. An API server accepts no loopback addresses
/// for endpoints.
const LOOPBACK: &str = "127.0.0.1";

/// The schema of a CRD rejects more than `switchyard check`, such as unknown fields.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_server_accepts_every_manifest_of_the_book() -> Result<()> {
    let cluster = clusters::take()?;
    let dir = paths::scratch("book-manifests")?;
    let (mut objects, mut namespaces) = (0, BTreeSet::new());
    for (name, block) in manifests()? {
        let block = block.replace(LOOPBACK, &POD.to_string());
        fs::write(dir.join(&name), &block)?;
        for object in serde_saphyr::from_multiple::<Value>(&block).with_context(|| name.clone())? {
            objects += 1;
            let namespace = &object["metadata"]["namespace"];
            namespaces.insert(
                namespace
                    .as_str()
                    .with_context(|| format!("{name}: no namespace"))?
                    .to_owned(),
            );
        }
    }
    ensure!(objects > 30, "only {objects}");
    let namespaces = namespaces
        .into_iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": namespaces.collect::<Vec<_>>()});
    let file = cluster.kubeconfig().with_file_name("namespaces.json");
    fs::write(&file, list.to_string())?;
    cluster.kubectl(&["apply", "-f", file.to_str().context("a path that is text")?])?;
    let folder = dir.to_str().context("a path that is text")?;
    let told = cluster.kubectl(&["apply", "--dry-run=server", "-f", folder])?;
    ensure!(told.lines().count() == objects, "{told} is not {objects}");
    Ok(())
}
