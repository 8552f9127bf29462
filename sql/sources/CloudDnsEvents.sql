-- DNS queries in cloud workloads, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  AdditionalFields
create table CloudDnsEvents (
    Timestamp timestamptz,
    ReportId varchar,
    ActionType varchar,
    AzureResourceId varchar,
    AwsResourceName varchar,
    GcpFullResourceName varchar,
    KubernetesResource varchar,
    KubernetesNamespace varchar,
    KubernetesPodName varchar,
    ContainerName varchar,
    ContainerId varchar,
    ImageName varchar,
    ProcessName varchar,
    ProcessId bigint,
    DnsEventType varchar,
    DnsEventSubType varchar,
    DnsQuery varchar,
    DnsQueryTypeName varchar,
    DnsResponseCodeName varchar,
    DnsNetworkDuration bigint,
    TransactionIdHex varchar,
    AdditionalFields varchar,
    TenantId varchar
);
