//! Small schemas to which the standard has no objection.

const TYPES: &str = r#"<composite name="messageHeader">
<type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
<type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/></composite>
<composite name="groupSizeEncoding">
<type name="blockLength" primitiveType="uint16"/><type name="numInGroup" primitiveType="uint8"/></composite>
<composite name="text"><type name="length" primitiveType="uint8"/>
<type name="varData" primitiveType="uint8" length="0" characterEncoding="UTF-8"/></composite>"#;

/// A schema of version 2 with these types from line 9 on and, from line 10 on, what is in its message.
pub(crate) fn schema(types: &str, message: &str) -> String {
    format!(
        "<sbe:messageSchema package=\"p\" id=\"1\" xmlns:sbe=\"http://fixprotocol.io/2016/sbe\" version=\"2\"><types>\n\
         {TYPES}\n{types}</types><sbe:message name=\"M\" id=\"1\">\n{message}</sbe:message></sbe:messageSchema>"
    )
}
