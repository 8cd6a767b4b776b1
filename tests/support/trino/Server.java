/** Starts a Trino server, as the launcher of its distribution does, which is not among the artifacts that are fetched. */
final class Server
{
    private Server() {}

    public static void main(String[] version)
    {
        new io.trino.server.Server().start(version[0]);
    }
}
