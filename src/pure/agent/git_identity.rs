//! Who commits, for an agent whose shell hides the user's git configuration: the variables that say
//! it instead, from the text of that configuration and of the repository's.
//!
//! The variables win over every configuration, so that they must not contradict one. What cannot be
//! read for sure here (an included file, an escape in a name) is left alone: then git says itself
//! that it does not know who commits, which is better than a commit in a wrong name.

/// At most this much of a name or an address.
const VALUE_BYTES_MAX: usize = 1000;

/// The variables that set an identity.
pub const VARIABLES: [&str; 4] =
    ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];

/// `users`: the user's own configuration. `repositorys`: all that the repository has.
pub fn variables(users: &str, repositorys: &str) -> Vec<(&'static str, String)> {
    let (user, repository) = (Said::of(users), Said::of(repositorys));
    if user.is_unsure || repository != Said::default() {
        return Vec::new();
    }
    let (Some(name), Some(email)) = (user.name, user.email) else { return Vec::new() };
    let values = [&name, &email, &name, &email].map(String::clone);
    VARIABLES.into_iter().zip(values).collect()
}

/// What a configuration says of an identity.
#[derive(Debug, Default, PartialEq)]
struct Said {
    name: Option<String>,
    email: Option<String>,
    /// It may say more than was understood.
    is_unsure: bool,
}

impl Said {
    fn of(config: &str) -> Said {
        let mut said = Said::default();
        let mut section = String::new();
        for line in config.lines() {
            let mut line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                let Some((head, rest)) = header.split_once(']') else {
                    said.is_unsure = true;
                    continue;
                };
                section = head.trim().to_ascii_lowercase();
                line = rest.trim();
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            said.read(&section, &key.trim().to_ascii_lowercase(), value.trim());
        }
        said
    }

    fn read(&mut self, section: &str, key: &str, value: &str) {
        let is_include = section == "include" || section.starts_with("includeif");
        // They stand above the user's own name and address.
        let is_role = section == "author" || section == "committer";
        self.is_unsure |= is_include || is_role;
        if section != "user" || key.is_empty() || key.starts_with(['#', ';']) {
            return;
        }
        match (key, plain(value)) {
            ("name", Some(name)) => self.name = Some(name),
            ("email", Some(email)) => self.email = Some(email),
            ("name" | "email", None) | ("useconfigonly", _) => self.is_unsure = true,
            _ => {}
        }
    }
}

/// A value without quotes, escapes and comments, or in one pair of quotes around all of it.
fn plain(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let is_marked = |c: char| matches!(c, '"' | '\\') || inner.is_none() && matches!(c, '#' | ';');
    let value = inner.unwrap_or(value);
    let is_plain = !value.is_empty()
        && value.len() <= VALUE_BYTES_MAX
        && !value.contains(|c: char| is_marked(c) || c.is_control());
    is_plain.then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "[core]\n\teditor = vi\n[user]\n\tname = Ada L.\n\temail = ada@example.org\n";

    fn name_and_email(users: &str, repositorys: &str) -> Option<(String, String)> {
        let set = variables(users, repositorys);
        let value = |name: &str| set.iter().find(|(one, _)| *one == name).map(|one| one.1.clone());
        assert!(set.is_empty() || set.len() == VARIABLES.len());
        Some((value("GIT_AUTHOR_NAME")?, value("GIT_COMMITTER_EMAIL")?))
    }

    #[test]
    fn a_plain_identity_of_the_user_is_taken() {
        for users in [
            ADA,
            "[User] NAME = \"Ada L.\"\n[user]\nemail=ada@example.org",
            "[user]\nname = other\nname = Ada L.\nemail = ada@example.org\nsigningkey = \"x\\\"y\"",
            "[user]\n# name = x\nname = Ada L.\nemail = ada@example.org\n[alias]\nx = \"!a # b\"",
        ] {
            let wanted = Some(("Ada L.".to_string(), "ada@example.org".to_string()));
            assert_eq!(name_and_email(users, "[core]\nbare = false\n"), wanted, "{users}");
        }
    }

    #[test]
    fn what_is_not_sure_or_the_repository_s_own_is_left_alone() {
        let after = |more: &str| format!("{ADA}{more}");
        for (users, repositorys) in [
            ("", String::new()),
            ("[user]\nname = Ada", String::new()),
            ("[user]\nname = Ada # L.\nemail = a@b", String::new()),
            ("[user]\nname = \"Ada\" L.\nemail = a@b", String::new()),
            ("[user]\nname = Ada \\\n L.\nemail = a@b", String::new()),
            ("[user]\nname\nemail = a@b", String::new()),
            (&after("[include]\npath = more"), String::new()),
            (&after("[includeIf \"gitdir:~/clients/\"]\npath = clients"), String::new()),
            (&after("[author]\nname = B"), String::new()),
            (&after("[user]\nuseConfigOnly = true"), String::new()),
            (&after("[broken\n"), String::new()),
            (ADA, "[user]\nname = Bot\n".to_string()),
            (ADA, "[user]\nemail = bot@example.org\n".to_string()),
            (ADA, "[include]\npath = ../x\n".to_string()),
            (ADA, "[committer]\nname = Bot\n".to_string()),
        ] {
            assert_eq!(name_and_email(users, &repositorys), None, "{users}\n---\n{repositorys}");
        }
    }
}
