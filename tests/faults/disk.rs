//! A disk that keeps no more than it must: after a crash, everything that no fsync covered is taken
//! back, or a random part of it. Stricter than any one file system: a file without its own fsync is
//! empty, a name without the fsync of its folder is not there (or still there, if it was removed),
//! whatever else a journal may have carried along.
//!
//! The daemon's own trace says what it did. Only what it removed or replaced has to be kept aside
//! for this.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pool::Random;

/// What becomes of that which is not durable.
#[derive(Clone, Copy, Debug)]
pub enum Loses {
    All,
    /// Each change of a name and each content by a throw of the dice.
    Some,
}

/// A file or folder, whatever its name.
type Node = usize;

enum Change {
    Add { at: PathBuf, node: Node },
    Move { from: PathBuf, to: PathBuf, node: Node },
    Remove { at: PathBuf, node: Node },
}

struct Model {
    /// Names as the daemon saw them last.
    live: BTreeMap<PathBuf, Node>,
    /// Names before it began.
    first: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
    /// For each change: the folders that it concerns, and whether one of them was synced after it.
    folders: Vec<[Option<Node>; 2]>,
    durable: Vec<bool>,
    is_dir: Vec<bool>,
    has_content: Vec<bool>,
    /// The effect at which a file lost its last name.
    lost_at: BTreeMap<Node, u64>,
}

impl Model {
    fn new(root: &Path) -> Model {
        let mut model = Model {
            live: BTreeMap::new(),
            first: BTreeMap::new(),
            changes: Vec::new(),
            folders: Vec::new(),
            durable: Vec::new(),
            is_dir: Vec::new(),
            has_content: Vec::new(),
            lost_at: BTreeMap::new(),
        };
        let mut names = vec![root.to_path_buf()];
        while let Some(path) = names.pop() {
            let is_dir = path.is_dir();
            let entries = fs::read_dir(&path).map(|d| d.flatten().collect::<Vec<_>>());
            names.extend(entries.unwrap_or_default().into_iter().map(|entry| entry.path()));
            let node = model.node(is_dir);
            model.has_content[node] = true;
            model.live.insert(path, node);
        }
        model.first = model.live.clone();
        model
    }

    fn node(&mut self, is_dir: bool) -> Node {
        self.is_dir.push(is_dir);
        self.has_content.push(is_dir);
        self.is_dir.len() - 1
    }

    fn change(&mut self, change: Change) {
        let folder = |path: &Path| self.live.get(path.parent()?).copied();
        self.folders.push(match &change {
            Change::Add { at, .. } | Change::Remove { at, .. } => [folder(at), None],
            // Both folders or neither: a file system does not tear a rename.
            Change::Move { from, to, .. } => [folder(from), folder(to)],
        });
        self.changes.push(change);
        self.durable.push(false);
    }

    fn add(&mut self, at: &Path, is_dir: bool) {
        if self.live.contains_key(at) || !at.parent().is_some_and(|dir| self.live.contains_key(dir))
        {
            return; // It failed.
        }
        let node = self.node(is_dir);
        self.live.insert(at.into(), node);
        self.change(Change::Add { at: at.into(), node });
    }

    fn below(&self, path: &Path) -> Vec<(PathBuf, Node)> {
        let entries = self.live.iter().filter(|(name, _)| name.starts_with(path));
        entries.map(|(name, node)| (name.clone(), *node)).collect()
    }

    fn remove(&mut self, at: &Path, effect: u64) {
        for (name, node) in self.below(at).into_iter().rev() {
            self.live.remove(&name);
            self.lost_at.insert(node, effect);
            self.change(Change::Remove { at: name, node });
        }
    }

    fn rename(&mut self, from: &Path, to: &Path, effect: u64) {
        let Some(&node) = self.live.get(from) else { return };
        if let Some(&replaced) = self.live.get(to) {
            self.lost_at.insert(replaced, effect);
        }
        for (name, below) in self.below(from) {
            self.live.remove(&name);
            let moved = to.join(name.strip_prefix(from).expect("below"));
            // `a/.` and `a` are the same path, and not the same key.
            self.live.insert(moved.components().collect(), below);
        }
        self.change(Change::Move { from: from.into(), to: to.into(), node });
    }

    fn sync(&mut self, path: &Path) {
        let Some(&node) = self.live.get(path) else { return };
        self.has_content[node] = true;
        for (folders, durable) in self.folders.iter().zip(&mut self.durable) {
            *durable |= folders.contains(&Some(node));
        }
    }

    /// Follows the trace up to the effect before which the daemon died.
    fn follow(&mut self, trace: &str, died_at: u64, ignored: &dyn Fn(&Path) -> bool) {
        for line in trace.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [number, name, path, other] = fields[..] else { continue };
            let number: u64 = number.parse().expect("a number");
            let (path, other) = (Path::new(path), Path::new(other));
            match name {
                _ if number == died_at => {}
                "Create" => self.add(path, false),
                "MakeDir" => self.add(path, true),
                "Rename" => self.rename(path, other, number),
                "Remove" => self.remove(path, number),
                "Sync" if !ignored(path) => self.sync(path),
                _ => {}
            }
        }
    }

    /// Names as they are after the loss.
    fn kept(&self, loses: Loses, random: &mut Random) -> BTreeMap<PathBuf, Node> {
        let mut names = self.first.clone();
        for (change, durable) in self.changes.iter().zip(&self.durable) {
            let lucky = matches!(loses, Loses::Some) && random.below(2) == 0;
            if !durable && !lucky {
                continue;
            }
            match change {
                Change::Add { at, node } => drop(names.insert(at.clone(), *node)),
                Change::Remove { at, node } if names.get(at) == Some(node) => {
                    names.remove(at);
                }
                Change::Remove { .. } => {}
                Change::Move { from, to, node } => {
                    if names.get(from) == Some(node) {
                        names.remove(from);
                    }
                    names.insert(to.clone(), *node);
                    if self.is_dir[*node] {
                        move_below(&mut names, from, to);
                    }
                }
            }
        }
        // What hangs below a name that is gone is gone.
        let all = names.clone();
        let hangs = |path: &Path| {
            let mut above = path.ancestors().skip(1).take_while(|dir| dir.starts_with(self.root()));
            above.all(|dir| all.get(dir).is_some_and(|node| self.is_dir[*node]))
        };
        names.retain(|path, _| hangs(path));
        names
    }

    fn root(&self) -> &Path {
        self.first.keys().next().expect("a root")
    }
}

fn move_below(names: &mut BTreeMap<PathBuf, Node>, from: &Path, to: &Path) {
    let below: Vec<_> =
        names.keys().filter(|name| *name != from && name.starts_with(from)).cloned().collect();
    for name in below {
        let node = names.remove(&name).expect("a name");
        names.insert(to.join(name.strip_prefix(from).expect("below")), node);
    }
}

/// What the outside saw before the daemon began.
pub struct Disk {
    model: Model,
    keep: PathBuf,
    limbo: PathBuf,
}

impl Disk {
    /// `beside`: a folder on the same file system, outside the tree.
    pub fn look(root: &Path, beside: &Path) -> Disk {
        let (keep, limbo) = (beside.join("keep"), beside.join("limbo"));
        for dir in [&keep, &limbo] {
            let _ = fs::remove_dir_all(dir);
            fs::create_dir_all(dir).expect("create");
        }
        Disk { model: Model::new(root), keep, limbo }
    }

    pub fn keep(&self) -> &Path {
        &self.keep
    }

    /// The daemon died before that effect, and the power went with it. As if the daemon made no
    /// fsync of what is `ignored`.
    pub fn lose(
        mut self,
        trace: &Path,
        died_at: u64,
        loses: Loses,
        ignored: &dyn Fn(&Path) -> bool,
        random: &mut Random,
    ) {
        let trace = fs::read_to_string(trace).unwrap_or_default();
        self.model.follow(&trace, died_at, ignored);
        let kept = self.model.kept(loses, random);
        let emptied: Vec<bool> = (0..self.model.is_dir.len())
            .map(|node| {
                let lucky = matches!(loses, Loses::Some) && random.below(2) == 0;
                !self.model.has_content[node] && !lucky
            })
            .collect();
        // Files that the daemon did not write (streams, marks of agents) were synced by nobody:
        // they go with their folders.
        let live: Vec<_> = self.model.live.iter().rev().map(|(p, n)| (p.clone(), *n)).collect();
        for (path, node) in live {
            if self.model.first.get(&path) == Some(&node) && kept.get(&path) == Some(&node) {
                continue;
            }
            // A folder is made anew, so that nothing unknown stays in it.
            if self.model.is_dir[node] {
                let _ = fs::remove_dir_all(&path);
            } else {
                let _ = fs::rename(&path, self.limbo.join(node.to_string()));
            }
        }
        // A rename of which only the new folder was written leaves a file under both of its names.
        let mut placed: BTreeMap<Node, &Path> = BTreeMap::new();
        for (path, node) in &kept {
            if self.model.is_dir[*node] {
                let _ = fs::create_dir(path);
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
                fs::set_permissions(path, mode).expect("set the mode");
            } else if let Some(first) = placed.get(node) {
                fs::hard_link(first, path).expect("a second name");
            } else if !path.exists() {
                let limbo = self.limbo.join(node.to_string());
                let kept = self.model.lost_at.get(node).map(|n| self.keep.join(n.to_string()));
                if fs::rename(&limbo, path).is_err()
                    && kept.is_none_or(|kept| fs::hard_link(kept, path).is_err())
                {
                    fs::write(path, "").expect("write");
                }
                if emptied[*node] {
                    fs::write(path, "").expect("empty it");
                }
            }
            placed.entry(*node).or_insert(path);
        }
        // A file that came back has the one name that it had.
        for dir in [&self.keep, &self.limbo] {
            let _ = fs::remove_dir_all(dir);
        }
    }
}
