import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.agrona.concurrent.UnsafeBuffer;
import uk.co.real_logic.sbe.ir.Ir;
import uk.co.real_logic.sbe.json.JsonPrinter;
import uk.co.real_logic.sbe.xml.IrGenerator;
import uk.co.real_logic.sbe.xml.ParserOptions;
import uk.co.real_logic.sbe.xml.XmlSchemaParser;

/** The reference implementation's printer: tasks and answers are those of src/main.rs. */
public final class Printer {
    private static final long NUMBER = 1_000_000;
    private static final int NUMBER_AT = 8;

    private final JsonPrinter printer;
    private final ByteBuffer message;
    private final UnsafeBuffer buffer;
    private final StringBuilder text = new StringBuilder(1 << 16);

    private Printer(final Path schema, final Path message) throws Exception {
        try (var in = Files.newInputStream(schema)) {
            final Ir ir = new IrGenerator().generate(XmlSchemaParser.parse(in, ParserOptions.DEFAULT));
            this.printer = new JsonPrinter(ir);
        }
        this.message = ByteBuffer.wrap(Files.readAllBytes(message)).order(ByteOrder.LITTLE_ENDIAN);
        this.buffer = new UnsafeBuffer(this.message);
    }

    private void run(final long count) {
        long sum = 0;
        final long start = System.nanoTime();
        for (long at = 0; at < count; at++) {
            message.putLong(NUMBER_AT, NUMBER + at % 256);
            text.setLength(0);
            printer.print(text, buffer, 0);
            sum += text.length();
        }
        final long spent = System.nanoTime() - start;
        System.out.println(spent + " " + sum + " 0 " + text.toString().replaceAll("\\s+", " "));
    }

    /** The folder of the messages; then for each its name and its schema. */
    public static void main(final String[] arguments) throws Exception {
        final Map<String, Printer> printers = new HashMap<>();
        for (int at = 1; at < arguments.length; at += 2) {
            final Path message = Path.of(arguments[0], arguments[at] + ".sbe");
            printers.put(arguments[at], new Printer(Path.of(arguments[at + 1]), message));
        }
        final var tasks = new BufferedReader(new InputStreamReader(System.in));
        for (String task = tasks.readLine(); task != null; task = tasks.readLine()) {
            final String[] parts = task.split(" ");
            printers.get(parts[0]).run(Long.parseLong(parts[2]));
        }
    }
}
