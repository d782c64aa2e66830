// The reference implementation at the other end of a pipe: it reads a line for each message and answers with one.
//
//   java -cp sbe-all.jar Reference.java SCHEMA.xml
//
//   decode HEX          the values, as its decoder without generated code (uk.co.real_logic.sbe.otf) finds them
//   encode ID VALUES    the bytes in hex, as the Java encoder that it generates for this template id writes them
//
// Values are words in the order of the schema:
//
//   name=17 | name=null | name=absent     numbers in decimal, floats as bits; absent: not of the writer's version
//   name=x6162                            text, bytes and variable data
//   name=1,2,3                            arrays of numbers
//   name={ member=1 other=2 }             composites
//   name=[2 { a=1 } { a=2 } ]             groups
//
// Enums and sets are numbers; an enum's null value is null, since its generated code makes no difference between
// required and optional ones. The first answer is `ready`, or `refused` and why.

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.agrona.DirectBuffer;
import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.generation.CompilerUtil;
import org.agrona.generation.StringWriterOutputManager;
import org.xml.sax.InputSource;
import uk.co.real_logic.sbe.PrimitiveType;
import uk.co.real_logic.sbe.PrimitiveValue;
import uk.co.real_logic.sbe.generation.java.JavaGenerator;
import uk.co.real_logic.sbe.generation.java.JavaUtil;
import uk.co.real_logic.sbe.ir.Ir;
import uk.co.real_logic.sbe.ir.Signal;
import uk.co.real_logic.sbe.ir.Token;
import uk.co.real_logic.sbe.otf.OtfHeaderDecoder;
import uk.co.real_logic.sbe.otf.OtfMessageDecoder;
import uk.co.real_logic.sbe.otf.TokenListener;
import uk.co.real_logic.sbe.otf.Types;
import uk.co.real_logic.sbe.xml.IrGenerator;
import uk.co.real_logic.sbe.xml.ParserOptions;
import uk.co.real_logic.sbe.xml.XmlSchemaParser;

public final class Reference {
    public static void main(String[] arguments) throws Exception {
        PrintStream answers = new PrintStream(System.out, false, "US-ASCII");
        Ir ir;
        Encoders encoders;
        try {
            // By name, so that what it includes is found.
            InputSource xml = new InputSource(new File(arguments[0]).toURI().toString());
            ParserOptions options =
                    ParserOptions.builder().stopOnError(true).suppressOutput(true).xIncludeAware(true).build();
            ir = new IrGenerator().generate(XmlSchemaParser.parse(xml, options), "generated");
            encoders = new Encoders(ir);
        } catch (Exception error) {
            answers.println("refused " + String.valueOf(error).replace('\n', ' '));
            answers.flush();
            return;
        }
        answers.println("ready");
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, "US-ASCII"));
        for (String line; (line = requests.readLine()) != null; ) {
            String[] words = line.split(" ");
            try {
                answers.println(words[0].equals("decode") ? decode(ir, words[1]) : encoders.encode(words));
            } catch (Exception error) {
                Throwable cause = error instanceof java.lang.reflect.InvocationTargetException ? error.getCause() : error;
                answers.println("failed " + String.valueOf(cause).replace('\n', ' '));
            }
        }
        answers.flush();
    }

    private static String decode(Ir ir, String hex) {
        DirectBuffer buffer = new UnsafeBuffer(HexFormat.of().parseHex(hex));
        OtfHeaderDecoder header = new OtfHeaderDecoder(ir.headerStructure());
        int version = header.getSchemaVersion(buffer, 0);
        Values values = new Values(version);
        List<Token> message = ir.getMessage(header.getTemplateId(buffer, 0));
        int blockLength = header.getBlockLength(buffer, 0);
        int end = OtfMessageDecoder.decode(buffer, header.encodedLength(), version, blockLength, message, values);
        return "length=" + end + values.text;
    }

    static boolean isOptional(Token field, Token type) {
        return field.isOptionalEncoding() || type.isOptionalEncoding();
    }

    /** Writes down what the reference decoder tells. */
    private static final class Values implements TokenListener {
        final StringBuilder text = new StringBuilder();
        private final int version;
        /** Composites around the current value. */
        private int depth = 0;
        /** Of those, how many are absent. */
        private int absent = 0;

        Values(int version) {
            this.version = version;
        }

        private void put(String name, String value) {
            if (absent == 0) {
                text.append(' ').append(name).append('=').append(value);
            }
        }

        /** The value's name, after which it follows; nothing if it is absent. */
        private String name(Token field, Token type) {
            String name = depth > 0 ? type.name() : field.name();
            if ((depth > 0 ? type : field).version() <= version) {
                return name;
            }
            put(name, "absent");
            return null;
        }

        public void onEncoding(Token field, DirectBuffer buffer, int index, Token type, int actingVersion) {
            String name = name(field, type);
            if (name != null) {
                boolean optional = depth > 0 ? type.isOptionalEncoding() : isOptional(field, type);
                put(name, type.isConstantEncoding() ? constant(type) : encoded(buffer, index, type, optional));
            }
        }

        public void onEnum(Token field, DirectBuffer buffer, int index, List<Token> tokens, int from, int to, int actingVersion) {
            Token type = tokens.get(from);
            String name = name(field, type);
            if (name == null) {
                return;
            }
            List<Token> known = tokens.subList(from + 1, to);
            if (field.isConstantEncoding() && depth == 0) {
                String reference = field.encoding().constValue().toString();
                String symbol = reference.substring(reference.indexOf('.') + 1);
                Token value = known.stream().filter(one -> one.name().equals(symbol)).findFirst().get();
                put(name, number(value.encoding().constValue().longValue(), type.encoding().primitiveType()));
                return;
            }
            long number = Types.getLong(buffer, index, type.encoding());
            boolean isKnown = known.stream().anyMatch(one -> one.encoding().constValue().longValue() == number);
            put(name, scalar(buffer, index, type, !isKnown));
        }

        public void onBitSet(Token field, DirectBuffer buffer, int index, List<Token> tokens, int from, int to, int actingVersion) {
            Token type = tokens.get(from);
            String name = name(field, type);
            if (name != null) {
                put(name, scalar(buffer, index, type, false));
            }
        }

        public void onBeginComposite(Token field, List<Token> tokens, int from, int to) {
            String name = name(field, tokens.get(from));
            if (name != null) {
                put(name, "{");
            }
            absent += name == null || absent > 0 ? 1 : 0;
            depth++;
        }

        public void onEndComposite(Token field, List<Token> tokens, int from, int to) {
            depth--;
            if (absent == 0) {
                text.append(" }");
            }
            absent = Math.max(absent - 1, 0);
        }

        public void onGroupHeader(Token group, int count) {
            boolean present = group.version() <= version;
            put(group.name(), present ? "[" + count : "absent");
            if (present && count == 0) {
                text.append(" ]");
            }
        }

        public void onBeginGroup(Token group, int index, int count) {
            text.append(" {");
        }

        public void onEndGroup(Token group, int index, int count) {
            text.append(index + 1 == count ? " } ]" : " }");
        }

        public void onVarData(Token field, DirectBuffer buffer, int index, int length, Token type) {
            put(field.name(), field.version() <= version ? hex(buffer, index, length) : "absent");
        }

        public void onBeginMessage(Token message) {}

        public void onEndMessage(Token message) {}

        private static String constant(Token type) {
            PrimitiveValue value = type.encoding().constValue();
            PrimitiveType primitive = type.encoding().primitiveType();
            if (primitive == PrimitiveType.CHAR) {
                return "x" + HexFormat.of().formatHex(value.byteArrayValue(PrimitiveType.CHAR));
            }
            return switch (primitive) {
                case FLOAT -> number((float) value.doubleValue());
                case DOUBLE -> number(value.doubleValue());
                default -> number(value.longValue(), primitive);
            };
        }

        private static String encoded(DirectBuffer buffer, int index, Token type, boolean optional) {
            PrimitiveType primitive = type.encoding().primitiveType();
            if (type.arrayLength() == 1) {
                return scalar(buffer, index, type, optional);
            }
            boolean text = primitive == PrimitiveType.CHAR || type.encoding().characterEncoding() != null;
            if (text || primitive == PrimitiveType.UINT8) {
                byte nothing = (byte) type.encoding().applicableNullValue().longValue();
                boolean isNull = optional && text;
                for (int at = 0; at < type.arrayLength(); at++) {
                    isNull &= buffer.getByte(index + at) == nothing;
                }
                return isNull ? "null" : hex(buffer, index, type.arrayLength());
            }
            List<String> elements = new ArrayList<>();
            for (int at = 0; at < type.arrayLength(); at++) {
                elements.add(scalar(buffer, index + at * primitive.size(), type, false));
            }
            return String.join(",", elements);
        }

        private static String scalar(DirectBuffer buffer, int index, Token type, boolean optional) {
            PrimitiveType primitive = type.encoding().primitiveType();
            PrimitiveValue nothing = optional ? type.encoding().applicableNullValue() : null;
            switch (primitive) {
                case FLOAT: {
                    float value = buffer.getFloat(index, type.encoding().byteOrder());
                    boolean isNull = nothing != null && same(value, nothing.doubleValue());
                    return isNull ? "null" : number(value);
                }
                case DOUBLE: {
                    double value = buffer.getDouble(index, type.encoding().byteOrder());
                    boolean isNull = nothing != null && same(value, nothing.doubleValue());
                    return isNull ? "null" : number(value);
                }
                default: {
                    long value = Types.getLong(buffer, index, type.encoding());
                    return nothing != null && value == nothing.longValue() ? "null" : number(value, primitive);
                }
            }
        }

        private static boolean same(double one, double other) {
            return one == other || Double.isNaN(one) && Double.isNaN(other);
        }

        private static String number(long value, PrimitiveType primitive) {
            return switch (primitive) {
                case CHAR -> Long.toString(value & 0xFF);
                case UINT64 -> Long.toUnsignedString(value);
                default -> Long.toString(value);
            };
        }

        private static String number(float value) {
            return Float.isNaN(value) ? "nan" : Integer.toUnsignedString(Float.floatToRawIntBits(value));
        }

        private static String number(double value) {
            return Double.isNaN(value) ? "nan" : Long.toUnsignedString(Double.doubleToRawLongBits(value));
        }

        private static String hex(DirectBuffer buffer, int index, int length) {
            byte[] bytes = new byte[length];
            buffer.getBytes(index, bytes);
            return "x" + HexFormat.of().formatHex(bytes);
        }
    }

    /** The encoders that the reference generates, compiled here and called by the names in its tokens. */
    private static final class Encoders {
        private final Ir ir;
        private final ClassLoader classes;
        private final Map<Class<?>, Map<String, Method>> methods = new HashMap<>();

        Encoders(Ir ir) throws Exception {
            this.ir = ir;
            StringWriterOutputManager sources = new StringWriterOutputManager();
            sources.setPackageName(ir.applicableNamespace());
            String mutable = "org.agrona.MutableDirectBuffer";
            new JavaGenerator(ir, mutable, "org.agrona.DirectBuffer", false, false, false, sources).generate();
            classes = CompilerUtil.compileInMemory(encoder(ir.messages().iterator().next()), sources.getSources()).getClassLoader();
        }

        private String encoder(List<Token> message) {
            return ir.applicableNamespace() + "." + JavaUtil.formatClassName(message.get(0).name()) + "Encoder";
        }

        String encode(String[] words) throws Exception {
            Deque<String> values = new ArrayDeque<>(Arrays.asList(words).subList(2, words.length));
            List<Token> message = ir.getMessage(Long.parseLong(words[1]));
            Object encoder = classes.loadClass(encoder(message)).getConstructor().newInstance();
            UnsafeBuffer buffer = new UnsafeBuffer(new byte[65_536]);
            Method wrap = method(encoder, "wrapAndApplyHeader", 3);
            Object header = wrap.getParameterTypes()[2].getConstructor().newInstance();
            wrap.invoke(encoder, buffer, 0, header);
            members(encoder, message, 1, message.size() - 1, values);
            int length = (int) method(header, "encodedLength", 0).invoke(header) + (int) method(encoder, "encodedLength", 0).invoke(encoder);
            byte[] bytes = new byte[length];
            buffer.getBytes(0, bytes);
            return HexFormat.of().formatHex(bytes);
        }

        /** Fields, groups and data, whose tokens are those between. */
        private void members(Object encoder, List<Token> tokens, int from, int to, Deque<String> values) throws Exception {
            for (int at = from; at < to; at += tokens.get(at).componentTokenCount()) {
                Token token = tokens.get(at);
                String name = JavaUtil.formatPropertyName(token.name());
                switch (token.signal()) {
                    case BEGIN_FIELD -> value(encoder, token, tokens, at + 1, token.isConstantEncoding(), values);
                    case BEGIN_GROUP -> group(encoder, tokens, at, values);
                    case BEGIN_VAR_DATA -> {
                        byte[] bytes = HexFormat.of().parseHex(next(token, values).substring(1));
                        String put = "put" + Character.toUpperCase(name.charAt(0)) + name.substring(1);
                        for (Method method : encoder.getClass().getMethods()) {
                            if (method.getName().equals(put) && method.getParameterTypes()[0] == byte[].class) {
                                method.invoke(encoder, bytes, 0, bytes.length);
                            }
                        }
                    }
                    default -> throw new IllegalStateException(token.toString());
                }
            }
        }

        private void group(Object encoder, List<Token> tokens, int at, Deque<String> values) throws Exception {
            Token group = tokens.get(at);
            int count = Integer.parseInt(next(group, values).substring(1));
            String name = JavaUtil.formatPropertyName(group.name()) + "Count";
            Object entries = method(encoder, name, 1).invoke(encoder, count);
            for (int entry = 0; entry < count; entry++) {
                expect("{", values);
                method(entries, "next", 0).invoke(entries);
                int first = at + 1 + tokens.get(at + 1).componentTokenCount();
                members(entries, tokens, first, at + group.componentTokenCount() - 1, values);
                expect("}", values);
            }
            expect("]", values);
        }

        /** The value of a field, or of a member of a composite, of the type whose tokens begin there. */
        private void value(Object encoder, Token named, List<Token> tokens, int at, boolean constant, Deque<String> values) throws Exception {
            Token type = tokens.get(at);
            String word = next(named, values);
            String name = JavaUtil.formatPropertyName(named.name());
            if (word.equals("absent") || constant || type.isConstantEncoding()) {
                return;
            }
            switch (type.signal()) {
                case BEGIN_COMPOSITE -> {
                    Object composite = method(encoder, name, 0).invoke(encoder);
                    int end = at + type.componentTokenCount() - 1;
                    for (int member = at + 1; member < end; member += tokens.get(member).componentTokenCount()) {
                        value(composite, tokens.get(member), tokens, member, false, values);
                    }
                    expect("}", values);
                }
                case BEGIN_ENUM -> {
                    Method set = method(encoder, name, 1);
                    set.invoke(encoder, symbol(set.getParameterTypes()[0], word));
                }
                case BEGIN_SET -> {
                    Object flags = method(encoder, name, 0).invoke(encoder);
                    for (Token choice : tokens.subList(at + 1, at + type.componentTokenCount() - 1)) {
                        long bit = choice.encoding().constValue().longValue();
                        boolean isSet = (Long.parseUnsignedLong(word) >>> bit & 1) == 1;
                        method(flags, JavaUtil.formatPropertyName(choice.name()), 1).invoke(flags, isSet);
                    }
                }
                case ENCODING -> encoding(encoder, name, type, word);
                default -> throw new IllegalStateException(type.toString());
            }
        }

        private void encoding(Object encoder, String name, Token type, String word) throws Exception {
            PrimitiveType primitive = type.encoding().primitiveType();
            String nothing = switch (primitive) {
                case FLOAT -> Values.number((float) type.encoding().applicableNullValue().doubleValue());
                case DOUBLE -> Values.number(type.encoding().applicableNullValue().doubleValue());
                default -> Values.number(type.encoding().applicableNullValue().longValue(), primitive);
            };
            if (type.arrayLength() == 1) {
                Method set = method(encoder, name, 1);
                set.invoke(encoder, number(set.getParameterTypes()[0], word.equals("null") ? nothing : word));
                return;
            }
            Method set = method(encoder, name, 2);
            String[] elements = word.split(",");
            byte[] bytes = word.startsWith("x") ? HexFormat.of().parseHex(word.substring(1)) : null;
            for (int at = 0; at < type.arrayLength(); at++) {
                String element = word.equals("null") ? nothing : bytes != null ? Integer.toString(bytes[at]) : elements[at];
                set.invoke(encoder, at, number(set.getParameterTypes()[1], element));
            }
        }

        private static Object symbol(Class<?> type, String word) throws Exception {
            for (Object symbol : type.getEnumConstants()) {
                Object value = type.getMethod("value").invoke(symbol);
                boolean isNull = symbol.toString().equals("NULL_VAL");
                if (word.equals("null") ? isNull : !isNull && (long) ((Number) value).longValue() == Long.parseUnsignedLong(word.replace("-", "")) * (word.startsWith("-") ? -1 : 1)) {
                    return symbol;
                }
            }
            throw new IllegalArgumentException(type.getName() + " has no " + word);
        }

        private static Object number(Class<?> type, String word) {
            long bits = word.equals("nan") ? 0 : word.startsWith("-") ? Long.parseLong(word) : Long.parseUnsignedLong(word);
            return switch (type.getName()) {
                case "byte" -> (byte) bits;
                case "short" -> (short) bits;
                case "int" -> (int) bits;
                case "long" -> bits;
                case "float" -> word.equals("nan") ? Float.NaN : Float.intBitsToFloat((int) bits);
                case "double" -> word.equals("nan") ? Double.NaN : Double.longBitsToDouble(bits);
                default -> throw new IllegalStateException(type.getName());
            };
        }

        /** What follows the name, which must be the next. */
        private static String next(Token token, Deque<String> values) {
            String word = values.removeFirst();
            if (!word.startsWith(token.name() + "=")) {
                throw new IllegalArgumentException(token.name() + " is next, and not " + word);
            }
            return word.substring(token.name().length() + 1);
        }

        private static void expect(String expected, Deque<String> values) {
            String word = values.removeFirst();
            if (!word.equals(expected)) {
                throw new IllegalArgumentException(expected + " is next, and not " + word);
            }
        }

        /** The public method of this name and so many parameters, of which the first is a number. */
        private Method method(Object of, String name, int parameters) {
            Map<String, Method> known = methods.computeIfAbsent(of.getClass(), type -> new HashMap<>());
            return known.computeIfAbsent(name + parameters, key -> {
                for (Method method : of.getClass().getMethods()) {
                    Class<?>[] types = method.getParameterTypes();
                    boolean fits = types.length < 1 || types[0] != String.class && types[0] != CharSequence.class && types[0] != byte[].class && !types[0].getName().contains("StringBuilder") && !types[0].getName().endsWith("Appendable");
                    boolean alone = types.length != 2 || types[0] == int.class;
                    if (method.getName().equals(name) && types.length == parameters && fits && alone) {
                        return method;
                    }
                }
                throw new IllegalStateException(of.getClass().getName() + " has no method " + name);
            });
        }
    }
}
