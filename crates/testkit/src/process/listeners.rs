//! Whether a process listens on TCP, whichever network it is in, without connecting.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context as _;

/// The state of a listening socket in the kernel's tables.
const LISTEN: &str = "0A";

/// Whether process `pid` listens at `address`, or at its port on all addresses.
pub(super) fn has(pid: u32, address: SocketAddr) -> anyhow::Result<bool> {
    let mut sockets = Vec::new();
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        let text = match fs::read_to_string(&path) {
            // A machine without IPv6.
            Err(error) if table == "tcp6" && error.kind() == ErrorKind::NotFound => continue,
            result => result.with_context(|| format!("can't read {path}"))?,
        };
        let listeners = text.lines().skip(1).filter_map(listener);
        sockets.extend(listeners.filter(|(at, _)| covers(*at, address)).map(|(_, inode)| format!("socket:[{inode}]")));
    }
    // The table is that of its network, where others listen, too.
    let files = format!("/proc/{pid}/fd");
    let files = fs::read_dir(&files).with_context(|| format!("can't read {files}"))?;
    let mut links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Ok(links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str())))
}

fn covers(listener: SocketAddr, address: SocketAddr) -> bool {
    let ip = listener.ip().to_canonical();
    listener.port() == address.port() && (ip == address.ip() || ip.is_unspecified())
}

/// Address and inode of a line such as `0: 0100007F:14B5 00000000:0000 0A …`, if that socket listens.
fn listener(line: &str) -> Option<(SocketAddr, &str)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (&local, &state, &inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
    let (ip, port) = local.split_once(':')?;
    // Words of 32 bits, each in the machine's own byte order.
    let words = ip.as_bytes().chunks(8).map(|word| u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    (state == LISTEN).then_some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), inode))
}
