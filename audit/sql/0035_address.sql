-- The 128 bits of an address as 32 hex digits, in whatever spelling it was sent; empty where the text is none.
-- IPv4 in the form of IPv6 is that IPv4 address, ffff before it. The block makes it unsafe for parallel plans.
CREATE FUNCTION audit_address(address text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT
AS $body$
DECLARE
    bytes text;
BEGIN
    bytes := encode(substr(inet_send(address::inet), 5), 'hex');
    RETURN CASE length(bytes) WHEN 8 THEN '00000000000000000000ffff' || bytes ELSE bytes END;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN '';
END
$body$;

-- reverse
DROP FUNCTION audit_address(text);
