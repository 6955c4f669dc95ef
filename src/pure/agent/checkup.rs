//! What can be told of an agent without starting a session: whether somebody has logged in, as far
//! as that is seen offline, and what its help does not say.

use super::own_state::OwnState;

#[derive(Clone, Copy, Debug)]
pub struct Checkup {
    /// Each of these files holds a login, if it is there.
    pub login_files: &'static [OwnState],
    /// Each of these variables does, or says that the login is another service's.
    pub login_variables: &'static [&'static str],
    /// Options that the program takes and its help does not list.
    pub unlisted_options: &'static [&'static str],
}

impl Checkup {
    /// Nothing is known of it.
    pub const NONE: Checkup =
        Checkup { login_files: &[], login_variables: &[], unlisted_options: &[] };
}
