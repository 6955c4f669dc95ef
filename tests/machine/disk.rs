//! A disk in memory that keeps no more than it must. Each file has what was written and what was
//! synced, each folder its names and a log of changes to them, of which an fsync of the folder
//! makes durable what concerns it.
//!
//! A crash of the daemon loses nothing. With the power goes every change that no fsync covered, or
//! by the dice a part of it: a rename whole or not at all, a file's content to nothing or to
//! something that is not what was written.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::pool::Random;
use crate::records::Record;

/// A file or folder, whatever its name: its identity.
pub type Id = usize;

const ROOT: Id = 0;

enum Node {
    Folder(BTreeMap<String, Id>),
    File { now: Option<Rc<Record>>, synced: Option<Rc<Record>>, is_synced: bool },
}

/// Takes a node from one name, or gives it one, or both.
struct Change {
    node: Id,
    takes: Option<(Id, String)>,
    gives: Option<(Id, String)>,
    durable: bool,
}

impl Change {
    fn concerns(&self, folder: Id) -> bool {
        [&self.takes, &self.gives].into_iter().flatten().any(|(dir, _)| *dir == folder)
    }

    fn apply(&self, names: &mut Names) {
        if let Some((dir, name)) = &self.takes
            && names.get(dir).and_then(|names| names.get(name)) == Some(&self.node)
        {
            names.entry(*dir).or_default().remove(name);
        }
        if let Some((dir, name)) = &self.gives {
            names.entry(*dir).or_default().insert(name.clone(), self.node);
        }
    }
}

type Names = BTreeMap<Id, BTreeMap<String, Id>>;

pub struct Disk {
    nodes: Vec<Node>,
    /// Names that are durable, before the changes.
    kept: Names,
    changes: Vec<Change>,
}

impl Disk {
    pub fn new(folders: &[&str]) -> Disk {
        let mut disk = Disk {
            nodes: vec![Node::Folder(BTreeMap::new())],
            kept: Names::new(),
            changes: Vec::new(),
        };
        for folder in folders {
            disk.make_dir(folder);
        }
        disk.sync("");
        disk
    }

    fn names(&self, folder: Id) -> Option<&BTreeMap<String, Id>> {
        match &self.nodes[folder] {
            Node::Folder(names) => Some(names),
            Node::File { .. } => None,
        }
    }

    pub fn find(&self, path: &str) -> Option<Id> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.into_iter().try_fold(ROOT, |dir, part| self.names(dir)?.get(part).copied())
    }

    pub fn list(&self, path: &str) -> Vec<String> {
        let names = self.find(path).and_then(|dir| self.names(dir));
        names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn read_node(&self, node: Id) -> Option<&Record> {
        match &self.nodes[node] {
            Node::File { now, .. } => now.as_deref(),
            Node::Folder(_) => None,
        }
    }

    /// `None`: it is not there, or says nothing that can be read.
    pub fn read(&self, path: &str) -> Option<&Record> {
        self.read_node(self.find(path)?)
    }

    /// What a power cut would leave of it at least.
    pub fn durable(&self, path: &str) -> Option<&Record> {
        let mut parts = path.split('/');
        let node = parts.try_fold(ROOT, |dir, part| self.durable_name(dir, part))?;
        match &self.nodes[node] {
            Node::File { synced, .. } => synced.as_deref(),
            Node::Folder(_) => None,
        }
    }

    fn durable_name(&self, dir: Id, name: &str) -> Option<Id> {
        let is_it = |place: &Option<(Id, String)>| {
            place.as_ref().is_some_and(|place| place.0 == dir && place.1 == name)
        };
        let kept = self.kept.get(&dir).and_then(|names| names.get(name)).copied();
        self.changes.iter().filter(|change| change.durable).fold(kept, |node, change| match node {
            _ if is_it(&change.gives) => Some(change.node),
            Some(node) if is_it(&change.takes) && node == change.node => None,
            node => node,
        })
    }

    /// Some dispatch file of the drop zone has these bytes.
    pub fn has_in_inbox(&self, uid: u64) -> bool {
        self.list("inbox").iter().filter(|name| name.starts_with("dispatch-")).any(|name| {
            let record = self.read(&format!("inbox/{name}"));
            matches!(record, Some(Record::Dispatch(body)) if body.uid == uid)
        })
    }

    fn place(&self, path: &str) -> Option<(Id, String)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Some((self.find(dir)?, name.to_string()))
    }

    fn change(&mut self, node: Id, takes: Option<(Id, String)>, gives: Option<(Id, String)>) {
        if let Some((dir, name)) = &takes
            && let Node::Folder(names) = &mut self.nodes[*dir]
        {
            names.remove(name);
        }
        if let Some((dir, name)) = &gives
            && let Node::Folder(names) = &mut self.nodes[*dir]
        {
            names.insert(name.clone(), node);
        }
        self.changes.push(Change { node, takes, gives, durable: false });
    }

    fn add(&mut self, path: &str, node: Node) -> bool {
        let Some(place) = self.place(path) else { return false };
        if self.find(path).is_some() {
            return false;
        }
        self.nodes.push(node);
        self.change(self.nodes.len() - 1, None, Some(place));
        true
    }

    /// False: the name is in use.
    pub fn make_dir(&mut self, path: &str) -> bool {
        self.add(path, Node::Folder(BTreeMap::new()))
    }

    pub fn create(&mut self, path: &str, record: Record) -> bool {
        self.add(path, Node::File { now: Some(Rc::new(record)), synced: None, is_synced: false })
    }

    /// By whoever has it open.
    pub fn write(&mut self, file: Id, record: Record) {
        if let Node::File { now, is_synced, .. } = &mut self.nodes[file] {
            (*now, *is_synced) = (Some(Rc::new(record)), false);
        }
    }

    /// False: there is nothing under that name.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let (Some(node), takes, gives) = (self.find(from), self.place(from), self.place(to)) else {
            return false;
        };
        self.change(node, takes, gives);
        true
    }

    /// A file or an empty folder.
    pub fn remove(&mut self, path: &str) -> bool {
        let Some(node) = self.find(path) else { return false };
        self.change(node, self.place(path), None);
        true
    }

    /// A file's content, or a folder's names.
    pub fn sync(&mut self, path: &str) {
        if let Some(node) = self.find(path) {
            self.sync_node(node);
        }
    }

    pub fn sync_node(&mut self, node: Id) {
        match &mut self.nodes[node] {
            Node::File { now, synced, is_synced } => {
                synced.clone_from(now);
                *is_synced = true;
            }
            Node::Folder(_) => {
                for change in self.changes.iter_mut().filter(|change| change.concerns(node)) {
                    change.durable = true;
                }
                let settled = self.changes.iter().take_while(|change| change.durable).count();
                self.changes.drain(..settled).for_each(|change| change.apply(&mut self.kept));
            }
        }
    }

    /// The power goes. `is_strict`: with all that was not synced.
    pub fn lose(&mut self, is_strict: bool, random: &mut Random) {
        for change in std::mem::take(&mut self.changes) {
            if change.durable || (!is_strict && random.below(2) == 0) {
                change.apply(&mut self.kept);
            }
        }
        for (id, node) in self.nodes.iter_mut().enumerate() {
            match node {
                Node::Folder(names) => *names = self.kept.get(&id).cloned().unwrap_or_default(),
                Node::File { is_synced: true, .. } => {}
                Node::File { now, synced, is_synced } => {
                    let luck = if is_strict { 0 } else { random.below(3) };
                    *now = match luck {
                        0 => synced.take(),
                        1 => now.as_ref().and_then(|now| now.torn()).map(Rc::new),
                        _ => now.take(),
                    };
                    (*synced, *is_synced) = (now.clone(), true);
                }
            }
        }
    }
}
