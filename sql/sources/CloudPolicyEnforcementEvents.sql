-- Decisions of policies on cloud workloads,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table CloudPolicyEnforcementEvents (
    Timestamp timestamptz,
    ReportId varchar,
    DataSource varchar,
    SubscriptionId varchar,
    ActionType varchar,
    AzureResourceId varchar,
    AwsResourceName varchar,
    GcpFullResourceName varchar,
    Region varchar,
    ResourceKind varchar,
    ResourceName varchar,
    KubernetesNamespace varchar,
    Reason varchar,
    AdditionalFields varchar,
    TenantId varchar
);
