-- Network adapters and addresses of devices,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table DeviceNetworkInfo (
    Timestamp timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    NetworkAdapterName varchar,
    MacAddress varchar,
    NetworkAdapterType varchar,
    NetworkAdapterStatus varchar,
    TunnelType varchar,
    ConnectedNetworks varchar,
    DnsAddresses varchar,
    IPv4Dhcp varchar,
    IPv6Dhcp varchar,
    DefaultGateways varchar,
    IPAddresses varchar,
    ReportId bigint,
    NetworkAdapterVendor varchar,
    OnboardingStatus varchar,
    NetworkAdapterDnsSuffix varchar,
    TenantId varchar
);
