//! Modules form no circles: of two modules, at most one uses items of the other, be it through a third.
//!
//! `cargo modules dependencies --acyclic` checks more (a type and its own method are a circle to it), and takes minutes.

use anyhow::{Context, Result, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use switchyard_tests::paths;
use syn::{
    Attribute, Ident, Item, UseTree, Visibility,
    visit::{self, Visit},
};

/// The path of a module from the root of its crate.
type Module = Vec<String>;

#[derive(Default)]
struct Crate {
    /// Names that each module re-exports, with the paths that they stand for.
    exports: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    /// Paths that each module uses.
    uses: BTreeMap<Module, BTreeSet<Vec<String>>>,
}

/// The paths in the code of one module.
struct Paths<'a> {
    module: &'a Module,
    /// Names that the module imports, with the paths that they stand for.
    imports: BTreeMap<String, Vec<String>>,
    found: BTreeSet<Vec<String>>,
}

// === impl Crate ===

impl Crate {
    fn read(root: &Path) -> Result<Self> {
        let mut read = Self::default();
        read.file(Module::new(), root)?;
        Ok(read)
    }

    fn file(&mut self, module: Module, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        let mut paths = Paths {
            module: &module,
            imports: BTreeMap::new(),
            found: BTreeSet::new(),
        };
        let exports = self.exports.entry(module.clone()).or_default();
        for item in &parsed.items {
            if let Item::Use(used) = item {
                let mut names = Vec::new();
                flatten(&used.tree, &mut Vec::new(), &mut names);
                for (name, path) in names {
                    let path = absolute(&module, path);
                    if !matches!(used.vis, Visibility::Inherited) {
                        exports.insert(name.clone(), path.clone());
                    }
                    paths.found.insert(path.clone());
                    paths.imports.insert(name, path);
                }
            }
        }
        for item in &parsed.items {
            match item {
                Item::Mod(child) if is_test(&child.attrs) => {}
                Item::Mod(child) if child.content.is_none() => {
                    let child_module = [&module[..], &[child.ident.to_string()]].concat();
                    self.file(child_module, &file_of(file, &child.ident)?)?;
                }
                Item::Use(_) => {}
                other => paths.visit_item(other),
            }
        }
        let Paths { found, .. } = paths;
        self.uses.insert(module, found);
        Ok(())
    }

    /// The module that defines the item at a path; `None` if the path is of a module itself.
    fn definer(&self, path: &[String]) -> Option<Module> {
        let (_crate, rest) = path.split_first()?;
        let mut module = Module::new();
        for (at, name) in rest.iter().enumerate() {
            let child = [&module[..], std::slice::from_ref(name)].concat();
            if self.exports.contains_key(&child) {
                module = child;
            } else if let Some(exported) = self.exports.get(&module)?.get(name) {
                let whole = [&exported[..], &rest[at + 1..]].concat();
                return self.definer(&whole);
            } else {
                return Some(module);
            }
        }
        None
    }

    /// The modules that each module uses, each with one of the paths.
    fn edges(&self) -> BTreeMap<&Module, BTreeMap<Module, String>> {
        let edges = self.uses.iter().map(|(module, paths)| {
            let used = paths
                .iter()
                .filter_map(|path| Some((self.definer(path)?, path.join("::"))));
            (module, used.filter(|(used, _)| used != module).collect())
        });
        edges.collect()
    }

    /// The uses among modules of circles, and of those between circles.
    fn circles(&self) -> Vec<String> {
        let mut edges = self.edges();
        loop {
            let used: BTreeSet<_> = edges.values().flat_map(BTreeMap::keys).cloned().collect();
            let ends: Vec<_> = edges
                .iter()
                .filter(|(module, uses)| uses.is_empty() || !used.contains(**module))
                .map(|(module, _)| (*module).clone())
                .collect();
            if ends.is_empty() {
                break;
            }
            for end in ends {
                edges.remove(&end);
                edges.values_mut().for_each(|uses| drop(uses.remove(&end)));
            }
        }
        let circles = edges.iter().map(|(module, uses)| {
            let uses: Vec<_> = uses.values().map(String::as_str).collect();
            format!("{} uses {}", module.join("::"), uses.join(", "))
        });
        circles.collect()
    }
}

// === impl Paths ===

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if let [first, rest @ ..] = &names[..]
            && !rest.is_empty()
        {
            let path = match self.imports.get(first) {
                Some(imported) => [&imported[..], rest].concat(),
                None => absolute(self.module, names),
            };
            self.found.insert(path);
        }
        visit::visit_path(self, path);
    }

    /// Does not visit `pub(in path)`, which uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Names and paths of a `use`.
fn flatten(tree: &UseTree, before: &mut Vec<String>, names: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, names);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            names.push((before.last().cloned().unwrap_or_default(), before.clone()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            names.push((name.clone(), [&before[..], &[name]].concat()));
        }
        UseTree::Rename(renamed) => {
            let path = [&before[..], &[renamed.ident.to_string()]].concat();
            names.push((renamed.rename.to_string(), path));
        }
        UseTree::Glob(_) => names.push(("*".to_owned(), [&before[..], &["*".to_owned()]].concat())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, names)),
    }
}

/// The path from the root of the crate. One of another crate becomes one of an item of this module.
fn absolute(module: &Module, path: Vec<String>) -> Vec<String> {
    let mut base = module.clone();
    let mut rest = &path[..];
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" => return path,
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        rest = after;
    }
    [&["crate".to_owned()], &base[..], rest].concat()
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_cfg_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(is_cfg_test)
}

fn file_of(parent: &Path, child: &Ident) -> Result<PathBuf> {
    let stem = parent.file_stem().context("a file has a name")?;
    let folder = parent.parent().context("a file lies in a folder")?;
    let folder = if stem == "lib" {
        folder.to_owned()
    } else {
        folder.join(stem)
    };
    Ok(folder.join(format!("{child}.rs")))
}

#[test]
fn modules_form_no_circles() -> Result<()> {
    // The routing model and the translator of `control/core` and `control/xds` still do.
    for root in [
        "control/src",
        "control/k8s/src",
        "filter/policy/src",
        "filter/src",
    ] {
        let modules = Crate::read(&paths::repository().join(root).join("lib.rs"))?;
        let circles = modules.circles();
        ensure!(circles.is_empty(), "{root}:\n{}", circles.join("\n"));
    }
    Ok(())
}
