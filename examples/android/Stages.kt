// Names what a picture shows with a network in stages, as far as the picture needs it, on Android. It needs Network.kt.
//
//   edgekit stages exported --target tflite
//   cp exported/NAME.stages/chain.json exported/NAME.stages/stage*.int8.tflite app/src/main/assets/
//   for n in 1 2 3; do edgekit inspect exported/NAME.stages/stage$n.int8.tflite --json > app/src/main/assets/stage$n.int8.json; done
//
// Where a picture leaves is decided on integers, so it is the exit that every other runtime takes. See docs/adaptive.md.

import android.content.Context
import android.graphics.Bitmap
import org.json.JSONArray
import org.json.JSONObject

class Stages(context: Context) : AutoCloseable {
    private val chain = JSONObject(context.assets.open("chain.json").bufferedReader().readText())
    private val stages = chain.getJSONArray("stages").let { all -> List(all.length()) { all.getJSONObject(it) } }
    private val networks = stages.indices.map { Network(context, "stage${it + 1}.int8") }

    /** What a picture shows, how probable the network finds it, 0..1, and at which exit it left, from 0. */
    data class Left(val label: String, val probability: Double, val exit: Int)

    /** What an upright picture shows. */
    fun classify(picture: Bitmap): Left {
        var given = networks[0].stored(picture)
        for ((place, stage) in stages.withIndex()) {
            val rule = stage.getJSONObject("rule")
            val logits = given.getValue(stage.getString("exit"))
            val sum = sum(logits, rule.getJSONArray("table"))
            if (place == stages.lastIndex || sum <= rule.getInt("limit")) {
                val best = logits.indices.maxByOrNull { logits[it] }!!
                return Left(networks[0].label(best), ONE / sum, place)
            }
            given = networks[place + 1].stored(given.getValue("map"))
        }
        error("the last exit takes every picture")
    }

    /** The exponentials of all logits over that of the largest, in fixed point. */
    private fun sum(logits: ByteArray, table: JSONArray): Int {
        val most = logits.max().toInt()
        return logits.sumOf { table.getInt(most - it) }
    }

    override fun close() = networks.forEach { it.close() }

    private companion object {
        const val ONE = 1048576.0  // what a probability of 1 is, in fixed point
    }
}
