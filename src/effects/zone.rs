//! Reads the local time zone: `$TZ` as POSIX has it (`Europe/Berlin`, `:/path`, `CET-1CEST,…`),
//! else `/etc/localtime`. Only what people read is shown in it; no decision and no file knows a
//! zone.

use crate::pure::human::zone::Zone;

/// `tz`: the variable, if it is set. Where nothing can be read the zone is UTC.
pub fn local(tz: Option<&str>) -> Zone {
    let read = match tz {
        None => tz::TimeZone::local(),
        Some(tz) => tz::TimeZone::from_posix_tz(tz),
    };
    read.map_or_else(|_| Zone::utc(), Zone::new)
}
