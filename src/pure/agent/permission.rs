//! Permissions as Claude Code writes them, for agents that have words of their own for them.
//!
//! Owns what such a permission means. Must not know another agent's words: its driver has those.

/// The program of a Claude Code permission that allows all commands which begin like it, as in
/// `Bash(git:*)`; empty for `Bash`, which allows every command.
pub(super) fn allowed_command(permission: &str) -> Option<&str> {
    match permission.strip_prefix("Bash")? {
        "" => Some(""),
        pattern => pattern.strip_prefix('(')?.strip_suffix(":*)").filter(|begin| !begin.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_permission_for_a_beginning_names_a_command() {
        for (permission, wanted) in [
            ("Bash", Some("")),
            ("Bash(git:*)", Some("git")),
            ("Bash(gh pr create:*)", Some("gh pr create")),
            ("Bash(npm test)", None),
            ("Bash(:*)", None),
            ("BashOutput", None),
            ("WebFetch", None),
        ] {
            assert_eq!(allowed_command(permission), wanted, "{permission}");
        }
    }
}
