use super::*;

const SPECIAL: [(&str, SpecialUse); 27] = [
    ("0.0.0.0", SpecialUse::Unspecified),
    ("0.1.2.3", SpecialUse::Unspecified),
    ("100.100.100.200", SpecialUse::Metadata),
    ("169.254.169.254", SpecialUse::LinkLocal),
    ("192.0.0.192", SpecialUse::Reserved),
    ("224.0.0.1", SpecialUse::Multicast),
    ("240.0.0.1", SpecialUse::Reserved),
    ("255.255.255.255", SpecialUse::Reserved),
    ("::", SpecialUse::Unspecified),
    ("fe80::1", SpecialUse::LinkLocal),
    ("ff02::1", SpecialUse::Multicast),
    ("fd00:ec2::254", SpecialUse::Metadata),
    ("fd20:ce::254", SpecialUse::Metadata),
    ("::ffff:169.254.169.254", SpecialUse::LinkLocal),
    ("::ffff:0.0.0.0", SpecialUse::Unspecified),
    ("::169.254.169.254", SpecialUse::LinkLocal),
    ("::ffff:0:169.254.169.254", SpecialUse::LinkLocal),
    ("64:ff9b::169.254.169.254", SpecialUse::LinkLocal),
    ("64:ff9b::0.0.0.0", SpecialUse::Unspecified),
    ("64:ff9b:1::169.254.169.254", SpecialUse::LinkLocal),
    ("64:ff9b:1:a9fe:a9:fe00::", SpecialUse::LinkLocal),
    ("64:ff9b:1:a9:fe:a9fe::", SpecialUse::Reserved),
    ("64:ff9b:1:0:a9:fea9:fe00::", SpecialUse::Reserved),
    ("2002:a9fe:a9fe::1", SpecialUse::LinkLocal),
    ("2001:0:1234:5678:0:0:5601:5601", SpecialUse::LinkLocal),
    ("2001:db8::5efe:169.254.169.254", SpecialUse::LinkLocal),
    ("2001:db8::200:5efe:169.254.169.254", SpecialUse::LinkLocal),
];
const LOOPBACK: [&str; 10] = [
    "127.0.0.1",
    "127.255.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::127.0.0.1",
    "2002:7f00:1::",
    "2001:0:1234:5678:0:0:80ff:fffe",
    "fd00::5efe:127.0.0.1",
];
const ORDINARY: [&str; 12] = [
    "1.1.1.1",
    "10.0.0.1",
    "100.64.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "2606:4700::1111",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "2002:a00:1::1",
    "fd00::5efe:10.0.0.1",
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn special_addresses_are_forbidden_in_every_form() {
    for loopback in [false, true] {
        let rule = AddressRule::new(vec![], loopback);
        for (address, special) in SPECIAL {
            let address = ip(address);
            assert_eq!(
                rule.check(address),
                Err(ForbiddenAddress { address, special }),
                "{address}"
            );
        }
        for address in LOOPBACK {
            assert_eq!(rule.check(ip(address)).is_ok(), loopback, "{address}");
        }
        for address in ORDINARY {
            assert_eq!(rule.check(ip(address)), Ok(()), "{address}");
        }
    }
}

#[test]
fn listed_networks_are_allowed() {
    let nets = ["169.254.0.0/16", "::1/128"].map(|net| net.parse().unwrap());
    let rule = AddressRule::new(nets.into(), false);
    for (address, want) in [
        ("169.254.169.254", true),
        ("::ffff:169.254.169.254", true),
        ("64:ff9b::169.254.169.254", true),
        ("::1", true),
        ("127.0.0.1", false),
        ("fe80::1", false),
    ] {
        assert_eq!(rule.check(ip(address)).is_ok(), want, "{address}");
    }
}

#[test]
fn hosts_that_lead_to_special_addresses_are_refused_in_every_spelling() {
    for text in [
        "localhost",
        "LOCALHOST.",
        "foo.localhost",
        "Foo.LocalHost.",
        "localhost.localdomain",
        "localhost4",
        "localhost6.localdomain6",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-allnodes",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "00000177.1",
        "0x7f.1",
        "0X7F.0x0.0x0.0x1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0",
        "0x",
        "0.0.0.0",
        "0.0",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.16689662",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "[::1]",
        "[::1].",
        "0:0:0:0:0:0:0:1",
        "::",
        "[::]",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "[::FFFF:127.0.0.1]",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "::1%lo",
        "ff02::1",
        "fd00:ec2::254",
    ] {
        let refused = text.parse::<Host>();
        assert!(
            matches!(refused, Err(HostError::Address { .. } | HostError::Local(_))),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn texts_that_name_no_host_are_refused() {
    let long = format!("{}.example.com", "a".repeat(64));
    let longer = format!("{}com", "abcdefg.".repeat(40));
    for text in [
        "",
        ".",
        "..",
        "localhost..",
        ".localhost",
        "a..b",
        "a b",
        "localhost\n",
        "localhost\0",
        "ⓛocalhost",
        "１２７.0.0.1",
        "127。0。0。1",
        "bücher.example",
        "example.com:80",
        "example.com/",
        "user@example.com",
        "[localhost]",
        "[127.0.0.1",
        "256.256.256.256",
        "127.0.0.256",
        "1.2.3.4.5",
        "127.0.0.08",
        "127.0.0.+1",
        "a.1",
        "a.0x1",
        "4294967296",
        "%",
        "*.example.com",
        long.as_str(),
        longer.as_str(),
    ] {
        let refused = text.parse::<Host>();
        assert!(
            matches!(refused, Err(HostError::Invalid(_))),
            "{text:?}: {refused:?}"
        );
    }
}

#[test]
fn other_hosts_are_taken() {
    let name = |name: &str| Host::Name(name.into());
    for (text, want) in [
        ("example.com", name("example.com")),
        ("DB.Example.com.", name("db.example.com.")),
        ("db", name("db")),
        ("_srv.a-b.example", name("_srv.a-b.example")),
        ("notlocalhost", name("notlocalhost")),
        ("localhost.example.com", name("localhost.example.com")),
        ("1.example.com", name("1.example.com")),
        ("0x7f.example.com", name("0x7f.example.com")),
        ("10.0.0.1", Host::Address(ip("10.0.0.1"))),
        ("10.1", Host::Address(ip("10.0.0.1"))),
        ("[2001:db8::1]", Host::Address(ip("2001:db8::1"))),
        ("::ffff:10.0.0.1", Host::Address(ip("10.0.0.1"))),
    ] {
        assert_eq!(text.parse(), Ok(want), "{text}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let text = |host: &str| host.parse::<Host>().unwrap_err().to_string();
    assert_eq!(
        text("0x7f.1"),
        "\"0x7f.1\" is 127.0.0.1, which is not allowed: it is loopback"
    );
    assert_eq!(
        text("foo.localhost"),
        "\"foo.localhost\" is a name of this machine or its link, which is not allowed"
    );
    assert_eq!(text("a b"), "\"a b\" is neither a DNS name nor an IP address");
}
