-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  IssuedTo, IssuedBy
create table DeviceTvmCertificateInfo (
    Timestamp timestamptz,
    DeviceId varchar,
    Thumbprint varchar,
    Path varchar,
    SerialNumber varchar,
    IssuedTo varchar,
    IssuedBy varchar,
    FriendlyName varchar,
    SignatureAlgorithm varchar,
    KeySize varchar,
    ExpirationDate varchar,
    IssueDate varchar,
    SubjectType varchar,
    KeyUsage varchar,
    ExtendedKeyUsage varchar,
    TenantId varchar
);
