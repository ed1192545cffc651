/**
 * Whoever reads our standard output may have read enough (`| head -1`): what is under way ends in order all the same, and
 * what is still written is lost. Without this the first such write would end the process where it stands.
 */
export function letReadersLeave(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      throw error;
    }
  });
}
